import { readdirSync, readFileSync } from "node:fs";
import * as path from "node:path";
import { describe, expect, it } from "vitest";
import { everyService } from "../../../catalogue";

const checks = path.resolve(__dirname, "../../../verify/checks");

/** Services and ports that the check asks for, as it names them. */
const asked = readdirSync(checks)
    .filter((file) => file.endsWith(".py"))
    .flatMap((file) => [
        ...readFileSync(path.join(checks, file), "utf8").matchAll(/env\.endpoint\("([^"]+)", "([^"]+)"\)/g),
    ])
    .map(([, service, port]) => `${service} ${port}`);

describe("the check", () => {
    it("asks for ports by the catalogue's names: one of another name would not be checked", () => {
        const known = everyService.flatMap(({ name, ports }) => ports.map((port) => `${name} ${port.name}`));
        expect(asked.length).toBeGreaterThan(5);
        expect(known).toEqual(expect.arrayContaining(asked));
    });
});
