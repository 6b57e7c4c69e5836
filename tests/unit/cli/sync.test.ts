import { mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Listing, leadsOut, listHere, parseListing, shownPath } from "../../../cli/sync/listing";
import { lookAlike, newBase, planSync } from "../../../cli/sync/plan";

const listing = (entries: Record<string, string>): Listing => new Map(Object.entries(entries));
const base = (entries: Record<string, string>) =>
    new Map(Object.entries(entries).map(([name, word]) => [name, [word, word] as const]));
const nothing = { push: [], pull: [], goneThere: [], goneHere: [], conflicts: [], leftOut: [] };
const [one, two, three] = ["f 1 1", "f 2 2", "f 3 3"];

describe("a sync", () => {
    it.each([
        ["is new here", { a: one }, {}, {}, { push: ["a"] }],
        ["is new there", {}, { a: one }, {}, { pull: ["a"] }],
        ["is the same", { a: one }, { a: one }, {}, {}],
        ["was changed here", { a: two }, { a: one }, { a: one }, { push: ["a"] }],
        ["was changed there", { a: one }, { a: two }, { a: one }, { pull: ["a"] }],
        ["was changed on both sides", { a: two }, { a: three }, { a: one }, { conflicts: ["a"] }],
        ["is new on both sides", { a: two }, { a: three }, {}, { conflicts: ["a"] }],
        ["was deleted here", {}, { a: one }, { a: one }, { goneHere: ["a"] }],
        ["was deleted there", { a: one }, {}, { a: one }, { goneThere: ["a"] }],
        ["was deleted here and changed there", {}, { a: two }, { a: one }, { pull: ["a"] }],
        ["was changed here and deleted there", { a: two }, {}, { a: one }, { push: ["a"] }],
        ["became a folder here", { a: "d", "a/b": one }, { a: one }, { a: one }, { conflicts: ["a"] }],
        ["is a link that leads out", { a: "l /etc/passwd" }, {}, {}, { leftOut: ["a"] }],
    ])("knows what %s", (_what, here, there, before, plan) => {
        expect(planSync(listing(here), listing(there), base(before))).toEqual({ ...nothing, ...plan });
    });

    it("takes files of one size for the same where their contents are", () => {
        const [here, there] = [listing({ a: "f 5 1", b: "f 5 1" }), listing({ a: "f 5 2", b: "f 6 2" })];
        expect(lookAlike(here, there, new Map())).toEqual(["a"]);
        expect(planSync(here, there, new Map(), (name) => name === "a").conflicts).toEqual(["b"]);
        const after = newBase(here, there, new Map(), (name) => name === "a");
        expect(planSync(here, there, after)).toEqual({ ...nothing, conflicts: ["b"] });
    });

    it("remembers of what is not in step how it was", () => {
        const before = base({ gone: one, both: one, away: one });
        const after = newBase(
            listing({ both: two }),
            listing({ both: three, gone: one }),
            before,
            () => false,
        );
        expect(Object.fromEntries(after)).toEqual({ gone: [one, one], both: [one, one] });
    });
});

describe("a listing", () => {
    let folder: string;

    beforeEach(() => {
        folder = mkdtempSync(join(tmpdir(), "carbon-sync-"));
    });

    afterEach(() => rmSync(folder, { recursive: true, force: true }));

    it("has names of any bytes, links as links, and nothing of rsync's", () => {
        mkdirSync(join(folder, "d"));
        mkdirSync(join(folder, ".rsync-partial"));
        writeFileSync(join(folder, ".rsync-partial", "x"), "");
        writeFileSync(Buffer.concat([Buffer.from(`${folder}/d/`), Buffer.from([0xff, 0x0a])]), "abc");
        writeFileSync(join(folder, "é"), "");
        utimesSync(join(folder, "é"), 5, 5.9);
        symlinkSync("d", join(folder, "l"));
        const found = listHere(folder);
        expect([...found.keys()].sort()).toEqual(["d", "d/\xff\n", "l", "Ã©"].sort());
        expect(found.get("Ã©")).toBe("f 0 5");
        expect(shownPath("Ã©")).toBe("é");
        expect(found.get("l")).toBe("l d");
    });

    it("takes nothing from a server that lies outside, nor what is neither file, folder nor link", () => {
        const said = [
            "a\0f\x003\x001.5\0\0",
            "/etc\0d\x001\x001\0\0",
            "../x\0f\x001\x001\0\0",
            "a/../../x\0f\x001\x001\0\0",
            "p\0p\x000\x001\0\0",
        ];
        expect(Object.fromEntries(parseListing(Buffer.from(said.join(""))))).toEqual({ a: "f 3 1" });
    });

    it.each([
        ["l", "l ../x", true],
        ["a/l", "l ../x", false],
        ["a/l", "l ../../x", true],
        ["l", "l /x", true],
        ["l", "l ..", true],
        ["l", "l a/../b", false],
    ])("knows whether the link %s (%s) leads out: %s", (name, word, out) => {
        expect(leadsOut(name, word)).toBe(out);
    });
});
