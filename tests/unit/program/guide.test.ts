import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { parseSettings } from "../../../settings/parse";
import { bareMachine } from "../machine";
import { problemsIn } from "./problems";

const guide = readFileSync(join(__dirname, "../../../docs/guide.md"), "utf8");
const [, page = ""] = /^## When one machine is not enough$([\s\S]*?)^## /m.exec(guide) ?? [];

/** The stack files of the page, and what is to be added to one. */
const files = [...page.matchAll(/^( *)```yaml\n([\s\S]*?)^\1```/gm)].map(([, , text = ""]) => {
    const document = parse(text);
    return (document.config ?? document) as Record<string, unknown>;
});

/** As the command has it: it goes where the stack lives first. */
function problems(file: Record<string, unknown>): string[] {
    const pulled = { "carbon:images": "pull", "carbon:imagePrefix": "ghcr.io/me/carbon" };
    const whole = "carbon:pulledImages" in file ? { ...pulled, ...file } : file;
    const texts = Object.entries(whole).map(([key, value]) => [
        key.replace(/^carbon:/, ""),
        typeof value === "string" ? value : JSON.stringify(value),
    ]);
    const server = file["carbon:dockerContext"];
    const env = server ? { DOCKER_HOST: String(server) } : {};
    return problemsIn(() => parseSettings("far", Object.fromEntries(texts), { ...bareMachine, env }));
}

describe("the guide's page for more than one machine", () => {
    it.each(files)("has settings that are accepted: %j", (file) => {
        expect(problems(file)).toEqual([]);
    });

    it("has some, and a wrong one would be noticed", () => {
        expect(files.length).toBeGreaterThan(4);
        expect(problems({ "carbon:cluster": "swam" })).toEqual([expect.stringMatching(/cluster/)]);
    });
});
