import { expect, it } from "vitest";
import { check, files } from "./tool";

it("biome finds nothing to format and no lint", () => check("node_modules/.bin/biome", "check", "."));

it("no module has the name of a data file beside it, which Node.js would take in its place", async () => {
    const names = new Set(await files("ls-files"));
    const hidden = [...names].filter(
        (name) => name.endsWith(".ts") && names.has(name.replace(/ts$/, "json")),
    );
    expect(hidden).toEqual([]);
});
