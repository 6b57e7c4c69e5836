import {
    existsSync,
    linkSync,
    mkdirSync,
    mkdtempSync,
    readdirSync,
    readFileSync,
    rmSync,
    symlinkSync,
    utimesSync,
    writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { describe as described } from "../../../cli/commands/sync";
import { ensureServersFolder } from "../../../cli/server/folder";
import { whileSyncing } from "../../../cli/stackState";
import { ensureRsync, sync } from "../../../cli/sync";
import { WorkspaceHelper } from "../../../cli/sync/helper";
import {
    foldsNames,
    type Listing,
    leadsOut,
    listHere,
    parseListing,
    shownPath,
} from "../../../cli/sync/listing";
import { lookAlike, newBase, planSync } from "../../../cli/sync/plan";
import type { Settings } from "../../../settings/parse";

const listing = (entries: Record<string, string>): Listing => new Map(Object.entries(entries));
const base = (entries: Record<string, string>) =>
    new Map(Object.entries(entries).map(([name, word]) => [name, [word, word] as const]));
const nothing = { push: [], pull: [], goneThere: [], goneHere: [], conflicts: [], clashes: [], leftOut: [] };
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
        [
            "lies in a folder there that is a link out of the folder here",
            { a: "l /etc" },
            { a: "d", "a/b": "d", "a/b/c": one },
            {},
            { leftOut: ["a"] },
        ],
        [
            "lies in a folder here that is a link there",
            { a: "d", "a/b": one },
            { a: "l b" },
            {},
            { conflicts: ["a"] },
        ],
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

const listed = (name: string) => Buffer.from(name).toString("latin1");

describe("of what both sides have otherwise, a sync", () => {
    it.each([
        ["a file that became a folder here", { a: one }, { a: "d", "a/b": two }, { a: one }, { pull: ["a"] }],
        [
            "a folder that became a file here",
            folderOf(one),
            { a: two },
            folderOf(one),
            { pull: ["a", "a/b"] },
        ],
        [
            "a folder that became a link here",
            folderOf(one),
            { a: "l x" },
            folderOf(one),
            { pull: ["a", "a/b"] },
        ],
        ["a file that both have changed", { a: one }, { a: two }, { a: three }, { pull: ["a"] }],
        ["a file that both have made", {}, { a: two }, { a: three }, { pull: ["a"] }],
    ])("brings the one that is left: %s", (_what, before, here, there, plan) => {
        expect(planSync(listing(here), listing(there), base(before)).conflicts).toEqual(["a"]);
        const after = newBase(listing(here), listing(there), base(before), () => false);
        expect(planSync(listing({}), listing(there), after)).toEqual({ ...nothing, ...plan });
        const swapped = newBase(listing(there), listing(here), base(before), () => false);
        const push = plan.pull;
        expect(planSync(listing(there), listing({}), swapped)).toEqual({ ...nothing, push });
    });
});

function folderOf(word: string): Record<string, string> {
    return { a: "d", "a/b": word };
}

describe("where this machine takes names for one another, a sync", () => {
    const folded = (here: Record<string, string>, there: Record<string, string>, before = {}) =>
        planSync(listing(here), listing(there), base(before), () => true, true);

    it.each([
        ["another case", "README.md", "readme.md"],
        ["another case of what has no capital", "ß", "SS"],
        ["accents that are composed otherwise", "\u00e9", "e\u0301"],
    ])("leaves names of %s as they are", (_what, first, second) => {
        const [mine, theirs] = [listed(first), listed(second)];
        const both = [mine, theirs].sort();
        // Known, changed here, and another one made there.
        const plan = folded({ [mine]: two }, { [mine]: one, [theirs]: three }, { [mine]: one });
        expect(plan).toEqual({ ...nothing, conflicts: both, clashes: both });
        expect(planSync(listing({ [mine]: one }), listing({ [theirs]: one }), new Map())).toMatchObject({
            push: [mine],
            pull: [theirs],
        });
    });

    it("leaves what lies below them, too, and brings the rest", () => {
        const plan = folded({ a: "d", "a/x": one }, { A: "d", "A/y": one, b: one });
        expect(plan).toEqual({ ...nothing, conflicts: ["A", "a"], clashes: ["A", "a"], pull: ["b"] });
    });

    it("brings the one that is left when the other is renamed or gone", () => {
        const [here, there] = [listing({}), listing({ A: one, a: one })];
        const after = newBase(here, there, base({ A: one }), () => false, true);
        expect(planSync(here, listing({ A: one }), after, () => false, true).pull).toEqual(["A"]);
    });

    it("says what to do", () => {
        const done = {
            ...nothing,
            removedThere: [],
            removedHere: [],
            conflicts: ["A", "a"],
            clashes: ["A", "a"],
        };
        const words = described(done, { watch: false, dryRun: false, delete: false });
        expect(words).toMatch(/^.*Names that are one to this machine.*:\n {4}A\n {4}a\nRename one of them: /);
        expect(words).not.toContain("Changed on both sides");
    });
});

describe("what is brought", () => {
    let folder: string;

    beforeEach(() => {
        folder = mkdtempSync(join(tmpdir(), "carbon-sync-"));
    });

    afterEach(() => {
        vi.unstubAllEnvs();
        rmSync(folder, { recursive: true, force: true });
    });

    /** Puts an rsync on PATH that notes its arguments and what it is to bring, a call a line. */
    function fakeRsync(version: string, meanwhile = ":"): string {
        const calls = join(folder, "calls");
        const script = `#!/bin/sh\nif [ "$1" = --version ]; then echo '${version}'; exit; fi\n{ echo "$@" | tr '\\n' ' '; tr '\\0' ' '; echo; } >> ${calls}\n${meanwhile}\n`;
        writeFileSync(join(folder, "rsync"), script, { mode: 0o755 });
        vi.stubEnv("PATH", `${folder}:${process.env.PATH}`);
        return calls;
    }

    it("is links last, by an rsync that was told of none before", async () => {
        const calls = fakeRsync("");
        const said = "d\0d\x000\x001\0\0d/f\0f\x001\x001\0\0l\0l\x001\x001\0d\0";
        const helper = { name: "h", read: async () => Buffer.from(said) } as unknown as WorkspaceHelper;
        const project = { dir: folder, stateDir: folder, toolsDir: folder };
        const [uid, gid] = [process.getuid?.(), process.getgid?.()];
        const settings = { stack: "dev", syncDir: join(folder, "here"), uid, gid } as Settings;
        const of = { project, settings, helper, signal: new AbortController().signal };
        await sync(of, { dryRun: false, remove: false });
        const [first = "", second = "", ...more] = readFileSync(calls, "utf8").trim().split("\n");
        expect(first).toMatch(/ \.\/d \.\/d\/f $/);
        expect(first).not.toContain("links");
        expect(second).toMatch(/^--links --safe-links .* \.\/l$/);
        expect(more).toEqual([]);
    });

    /** A sync of a folder here with what a server lists. */
    function syncOf(said: string, before: [string, string, string][]) {
        const here = join(folder, "here");
        const helper = { name: "h", read: async () => Buffer.from(said) } as unknown as WorkspaceHelper;
        const project = { dir: folder, stateDir: folder, toolsDir: folder };
        const [uid, gid] = [process.getuid?.(), process.getgid?.()];
        const server = { host: "far" };
        const settings = { stack: "dev", syncDir: here, workspaceDir: "/w", server, uid, gid } as Settings;
        mkdirSync(join(folder, ".carbon"));
        const file = join(folder, ".carbon", "sync-dev.json");
        writeFileSync(file, JSON.stringify({ here, there: "far::/w", base: before }));
        const of = { project, settings, helper, signal: new AbortController().signal };
        return { of, here };
    }

    it("is everything where a side has nothing left of it, and --delete is refused there", async () => {
        const calls = fakeRsync("");
        const { of, here } = syncOf("a\0f\x001\x001\0\0", [["a", "f 1 1", "f 1 1"]]);
        mkdirSync(here);
        writeFileSync(join(here, ".DS_Store"), "");
        await expect(sync(of, { dryRun: false, remove: true })).rejects.toThrow(
            `${here} has nothing any more of what the last sync left, and --delete would`,
        );
        expect(existsSync(calls)).toBe(false);
        const done = await sync(of, { dryRun: false, remove: false });
        expect(done).toMatchObject({ push: [".DS_Store"], pull: ["a"], goneHere: [] });
        expect(readFileSync(calls, "utf8")).toMatch(/ \.\/a $/m);
    });

    it("is everything to a server that has nothing left of it, and --delete is refused there", async () => {
        fakeRsync("");
        const { of, here } = syncOf("b\0f\x001\x001\0\0", [["a", "f 0 1", "f 0 1"]]);
        mkdirSync(here);
        writeFileSync(join(here, "a"), "");
        utimesSync(join(here, "a"), 1, 1);
        await expect(sync(of, { dryRun: false, remove: true })).rejects.toThrow(
            /^\/w on the server has nothing/,
        );
        expect(await sync(of, { dryRun: false, remove: false })).toMatchObject({
            push: ["a"],
            goneThere: [],
        });
    });

    it("is the rest of everything after it broke off, which is not taken for deleted", async () => {
        fakeRsync(
            "",
            `echo > ${join(folder, "here")}/a; TZ=UTC touch -t 197001010000.01 ${join(folder, "here")}/a; exit 12`,
        );
        const said = "a\0f\x001\x001\0\0b\0f\x001\x001\0\0";
        const { of } = syncOf(said, [
            ["a", "f 1 1", "f 1 1"],
            ["b", "f 1 1", "f 1 1"],
        ]);
        await expect(sync(of, { dryRun: false, remove: false })).rejects.toThrow(
            /could not all be brought here/,
        );
        expect(await sync(of, { dryRun: true, remove: true })).toMatchObject({
            pull: ["b"],
            removedThere: [],
        });
    });

    it("is none of two names that are one to the folder here", async () => {
        const calls = fakeRsync("");
        const { of, here } = syncOf("A\0f\x001\x001\0\0a\0f\x001\x001\0\0b\0f\x001\x001\0\0", []);
        mkdirSync(here);
        // As a folding file system shows it.
        writeFileSync(join(here, ".rsync-partial"), "");
        linkSync(join(here, ".rsync-partial"), join(here, ".RSYNC-PARTIAL"));
        const done = await sync(of, { dryRun: false, remove: false });
        expect(done).toMatchObject({ pull: ["b"], conflicts: ["A", "a"] });
        expect(readFileSync(calls, "utf8")).toMatch(/ \.\/b $/m);
    });

    it("is nothing in a dry run, which makes no folder either", async () => {
        const { of, here } = syncOf("a\0f\x001\x001\0\0", []);
        expect(await sync(of, { dryRun: true, remove: false })).toMatchObject({ pull: ["a"] });
        expect(existsSync(here)).toBe(false);
        writeFileSync(join(folder, "ssh"), "#!/bin/sh\nexec sh -s\n", { mode: 0o755 });
        vi.stubEnv("PATH", `${folder}:${process.env.PATH}`);
        const there = join(folder, "it's there");
        const settings = { ...of.settings, workspaceDir: there };
        const made = ensureServersFolder({ host: "far" }, settings, false);
        await expect(made).rejects.toThrow(
            `On far: there is no ${there} yet, and a dry run makes none: leave out`,
        );
        expect(existsSync(there)).toBe(false);
    });

    it("has its notes named as a shell takes them where they are damaged", async () => {
        const { of } = syncOf("", []);
        const spaced = join(folder, "a b");
        mkdirSync(join(spaced, ".carbon"), { recursive: true });
        const damaged = join(spaced, ".carbon", "sync-dev.json");
        writeFileSync(damaged, "{");
        const project = { ...of.project, dir: spaced };
        await expect(sync({ ...of, project }, { dryRun: true, remove: false })).rejects.toThrow(
            `(rm '${damaged}')`,
        );
    });

    it("is not what was changed or deleted here while something else was brought", async () => {
        const here = join(folder, "here");
        const calls = fakeRsync("", `echo more >> ${here}/changed; echo more >> ${here}/old`);
        mkdirSync(here);
        for (const name of ["changed", "old", "new"]) {
            writeFileSync(join(here, name), "");
            utimesSync(join(here, name), 1, 1);
        }
        const before = ["changed", "old"].map((name) => [name, "f 0 1", "f 0 1"]);
        mkdirSync(join(folder, ".carbon"));
        const base = JSON.stringify({ here, there: "far::/w", base: before });
        writeFileSync(join(folder, ".carbon", "sync-dev.json"), base);
        const said = "changed\0f\x002\x002\0\0";
        const helper = { name: "h", read: async () => Buffer.from(said) } as unknown as WorkspaceHelper;
        const project = { dir: folder, stateDir: folder, toolsDir: folder };
        const server = { host: "far" };
        const settings = { stack: "dev", syncDir: here, workspaceDir: "/w", server } as Settings;
        const of = { project, settings, helper, signal: new AbortController().signal };
        const done = await sync(of, { dryRun: false, remove: true });
        expect(done).toMatchObject({ push: ["new"], pull: [], goneThere: ["old"], removedHere: [] });
        expect(readFileSync(calls, "utf8").trim().split("\n")).toHaveLength(1);
        expect(readFileSync(join(here, "old"), "utf8")).toBe("more\n");
    });

    it.each([
        ["rsync  version 3.4.1  protocol version 32", undefined],
        ["rsync  version 3.2.7  protocol version 32", undefined],
        ["rsync  version 3.2.7  protocol version 31", "3.2.7 with protocol version 31 is here"],
        ["openrsync: protocol version 29", "there is none"],
    ])("is not by an rsync that a server can have do anything: %s", async (version, words) => {
        fakeRsync(version);
        const refusal = await ensureRsync().catch((error: Error) => error.message);
        expect(refusal).toEqual(words && expect.stringContaining(words));
    });

    it("is waited for no longer than until Ctrl-C, also from a server that does not answer", async () => {
        const script = "#!/bin/sh\ncase $1 in exec) exec sleep 30 ;; run) exec cat ;; esac\n";
        writeFileSync(join(folder, "docker"), script, { mode: 0o755 });
        vi.stubEnv("PATH", `${folder}:${process.env.PATH}`);
        const settings = { stack: "dev", workspaceDir: "/w", uid: 1, gid: 1 };
        const ending = AbortSignal.timeout(300);
        await expect(WorkspaceHelper.start(settings, "image", ending)).rejects.toThrow(/abort/);
    }, 10_000);

    it("is brought by one sync at a time", async () => {
        const of = { project: { dir: folder, stateDir: folder, toolsDir: folder }, stack: "dev" };
        await whileSyncing(of, async () => {
            await expect(whileSyncing(of, async () => {})).rejects.toThrow(
                /^Another `carbon sync` is going on\. .*\(pid \d+\)/,
            );
            await whileSyncing({ ...of, stack: "other" }, async () => {});
        });
        await whileSyncing(of, async () => {});
        const spaced = { ...of, project: { ...of.project, stateDir: join(folder, "a b") } };
        await whileSyncing(spaced, async () => {
            await expect(whileSyncing(spaced, async () => {})).rejects.toThrow(
                /, type: rm '[^']*\/a b\/[^']*'$/,
            );
        });
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

    it("leaves nothing where it was tried whether names fold, and takes what is there", () => {
        expect([foldsNames(folder), readdirSync(folder)]).toEqual([false, []]);
        mkdirSync(join(folder, ".rsync-partial"));
        symlinkSync(".rsync-partial", join(folder, ".RSYNC-PARTIAL"));
        expect([foldsNames(folder), readdirSync(folder).length]).toEqual([false, 2]);
        expect(foldsNames(join(folder, "gone"))).toBe(false);
    });

    it("is empty of a folder that is gone", () => {
        expect(listHere(join(folder, "gone")).size).toBe(0);
    });

    it("takes nothing from a server that lies outside, nor what is neither file, folder nor link", () => {
        const said = [
            "a\0f\x003\x001.5\0\0",
            "/etc\0d\x001\x001\0\0",
            "../x\0f\x001\x001\0\0",
            "a/../../x\0f\x001\x001\0\0",
            "p\0p\x000\x001\0\0",
            "l\0l\x000\x001\0a\0",
            "l/x\0f\x001\x001\0\0",
            "no/x\0f\x001\x001\0\0",
            "./x\0f\x001\x001\0\0",
            ".rsync-partial\0l\x001\x001\0a\0",
        ];
        expect(Object.fromEntries(parseListing(Buffer.from(said.join(""))))).toEqual({
            a: "f 3 1",
            l: "l a",
        });
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
