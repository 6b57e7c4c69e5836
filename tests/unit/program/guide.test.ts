import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { parseSettings } from "../../../settings/parse";

const guide = readFileSync(join(__dirname, "../../../docs/guide.md"), "utf8");
const [, page = ""] = /^## When one machine is not enough$([\s\S]*?)^## /m.exec(guide) ?? [];

/** The stack files of the page, and what is to be added to one. */
const files = [...page.matchAll(/^( *)```yaml\n([\s\S]*?)^\1```/gm)].map(([, , text = ""]) => {
    const document = parse(text);
    return (document.config ?? document) as Record<string, unknown>;
});

/** As the command has it: it goes where the stack lives first. */
function problems(file: Record<string, unknown>): unknown {
    const pulled = { "carbon:images": "pull", "carbon:imagePrefix": "ghcr.io/me/carbon" };
    const whole = "carbon:pulledImages" in file ? { ...pulled, ...file } : file;
    const texts = Object.entries(whole).map(([key, value]) => [
        key.replace(/^carbon:/, ""),
        typeof value === "string" ? value : JSON.stringify(value),
    ]);
    const server = file["carbon:dockerContext"];
    try {
        parseSettings("far", Object.fromEntries(texts), {
            env: server ? { DOCKER_HOST: String(server) } : {},
            home: "/Users/ada",
            user: "ada",
            projectDir: "/Users/ada/carbon",
            arch: "arm64",
            platform: "darwin",
            readFile: () => undefined,
            isNotFolder: () => false,
            sockets: () => [],
            realpath: (path) => path,
        });
        return [];
    } catch (error) {
        return String(error);
    }
}

describe("the guide's page for more than one machine", () => {
    it.each(files)("has settings that are accepted: %j", (file) => {
        expect(problems(file)).toEqual([]);
    });

    it("has some, and a wrong one would be noticed", () => {
        expect(files.length).toBeGreaterThan(4);
        expect(problems({ "carbon:cluster": "swam" })).toMatch(/cluster/);
    });
});
