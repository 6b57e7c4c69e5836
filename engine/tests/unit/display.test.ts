import { describe, expect, it } from "vitest";
import { createDisplay, type EngineEvent } from "../../src";
import { Secret } from "../../src/values";

const ESC = "\u001b";
const hostile = `a${ESC}[2Jb${ESC}]0;title\u0007c\u009b31md\u202ee\u2066f\bg\rh`;
const subject = { urn: "urn", type: `t${ESC}[31m`, name: `n${ESC}[1A\u202e` };
const change = {
    path: [`k${ESC}[8m`],
    kind: "update" as const,
    old: "x\u009by",
    new: hostile,
    replace: false,
};

/** What a terminal would get. */
function shown(event: EngineEvent, isTTY = false, newProperties = false): string {
    let text = "";
    const stream = { write: (part: string) => (text += part), isTTY, hasColors: () => true };
    const display = createDisplay({ stream: stream as unknown as NodeJS.WriteStream, newProperties });
    display.show(event);
    return text;
}

describe("the display lets no control character through", () => {
    it.each<[string, EngineEvent]>([
        ["in what a program prints", { kind: "message", severity: "info", text: hostile }],
        ["in what a command prints", { kind: "message", severity: "info", text: hostile, subject }],
        ["in a resource's error", { kind: "failed", operation: "create", subject, message: hostile }],
        ["in a build's progress", { kind: "progress", subject, line: hostile }],
        [
            "in a plan's names, keys and values",
            { kind: "planned", operation: "update", subject, changes: [change] },
        ],
        ["in what drifted", { kind: "drifted", subject, gone: false, changes: [change] }],
        ["in what starts", { kind: "started", operation: "create", subject }],
        ["in what ends", { kind: "finished", operation: "create", subject, seconds: 1 }],
    ])("%s", (_, event) => {
        expect(shown(event)).not.toMatch(/(?![\n\t])[\p{Cc}\p{Cf}]/u);
    });

    it("but its own colours, line feeds, tabs, and letters of every script", () => {
        const text = "a\tb\nc ü 語 👩\u200d💻";
        expect(shown({ kind: "message", severity: "info", text })).toBe(`${text}\n`);
        const red = shown({ kind: "message", severity: "error", text: hostile }, true);
        expect(red.startsWith(`${ESC}[31merror: ab`)).toBe(true);
        expect(red.split(ESC)).toHaveLength(3);
    });

    it("and shows the number of what it cannot leave out", () => {
        expect(shown({ kind: "message", severity: "info", text: "a\u202eb\u0007c" })).toBe(
            "a\\u202eb\\x07c\n",
        );
    });

    it("and hides secrets as before", () => {
        const changes = [{ ...change, new: new Secret("password") }];
        const text = shown({ kind: "planned", operation: "update", subject, changes });
        expect(text).toContain("[secret]");
        expect(text).not.toContain("password");
    });
});

describe("the display of a preview", () => {
    it("shows what differs, and the properties of what is new only when asked", () => {
        const planned = { kind: "planned" as const, subject: { urn: "urn", type: "t", name: "n" } };
        const changes = [{ path: ["memory"], kind: "add" as const, new: 64, replace: false }];
        expect(shown({ ...planned, operation: "update", changes })).toContain("+ memory: 64");
        const created: EngineEvent = { ...planned, operation: "create", changes };
        expect(shown(created)).not.toContain("memory");
        expect(shown(created, false, true)).toContain("+ memory: 64");
    });
});
