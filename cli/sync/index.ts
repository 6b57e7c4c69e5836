import { existsSync, lchownSync, mkdirSync, readFileSync, rmdirSync, unlinkSync } from "node:fs";
import * as path from "node:path";
import { writeWhole } from "@carbon/engine";
import { execa } from "execa";
import { z } from "zod";
import type { Settings } from "../../settings/parse";
import { parseDocument } from "../documents";
import { UserError } from "../errors";
import { printableLine } from "../printable";
import { run } from "../process";
import { ownFile, type Project } from "../project";
import { quoted } from "../quoted";
import type { WorkspaceHelper } from "./helper";
import {
    bytesOf,
    findArguments,
    foldsNames,
    hashHere,
    type Listing,
    listHere,
    parseListing,
    partials,
} from "./listing";
import { type Base, clashesOf, lookAlike, lostSide, newBase, type Plan, planSync } from "./plan";

/**
 * Of rsync 3.4.0, and of older ones that a system has mended: by it those are known that a server cannot have read or
 * write what nobody has asked for (CVE-2024-12086 to 12088).
 */
const oldestProtocol = 32;

const stateFile = z.object({
    here: z.string(),
    there: z.string(),
    /** Paths as {@link Listing} has them. */
    base: z.array(z.tuple([z.string(), z.string(), z.string()])),
});

/** What is kept in step. */
export interface SyncOf {
    project: Project;
    settings: Settings;
    helper: WorkspaceHelper;
    signal: AbortSignal;
}

/** What was done, or is to be. */
export interface Synced extends Plan {
    /** Removed on the server. */
    removedThere: string[];
    /** Removed on this machine. */
    removedHere: string[];
}

/**
 * Brings each side what the other has changed since the last time. Nothing is overwritten that was changed on both, and
 * nothing removed unless asked for. Where it breaks off, the next one goes on.
 *
 * @throws UserError where rsync fails, or --delete would empty a side.
 */
export async function sync(
    of: SyncOf,
    { dryRun, remove }: { dryRun: boolean; remove: boolean },
): Promise<Synced> {
    const { settings, helper } = of;
    if (!dryRun) {
        makeFolder(settings);
    }
    const before = readBase(of);
    const [here, there] = [listHere(settings.syncDir), await listThere(helper)];
    // A dry run makes nothing to try it with.
    const isFolding = () => (dryRun ? process.platform === "darwin" : foldsNames(settings.syncDir));
    const folds = clashesOf(here, there).size > 0 && isFolding();
    const lost = lostSide(here, there, before);
    if (lost && remove) {
        refuseToEmpty(settings, lost);
    }
    const base: Base = lost ? new Map() : before;
    const alike = await sameContents(of, lookAlike(here, there, base));
    const plan = planSync(here, there, base, (name) => alike.has(name), folds);
    const [removedThere, removedHere] = remove ? [plan.goneHere, plan.goneThere] : [[], []];
    const done = { ...plan, removedThere, removedHere };
    if (dryRun) {
        return done;
    }
    if (lost) {
        // Before anything is brought back: where that breaks off, the rest has not been deleted.
        await writeBase(of, base);
    }
    if (plan.push.length > 0) {
        done.push = untouched(plan.push, there, await listThere(helper));
        await bring(of, done.push, here, "push");
    }
    if (plan.pull.length > 0) {
        done.pull = untouched(plan.pull, here, listHere(settings.syncDir));
        await bring(of, done.pull, there, "pull");
    }
    if (removedThere.length > 0) {
        done.removedThere = untouched(removedThere, there, await listThere(helper));
        await removeThere(helper, done.removedThere, there);
    }
    if (removedHere.length > 0) {
        done.removedHere = untouched(removedHere, here, listHere(settings.syncDir));
        removeHere(settings.syncDir, done.removedHere, here);
    }
    const [nowHere, nowThere] = [listHere(settings.syncDir), await listThere(helper)];
    const isSame = (name: string) => isStill(alike, name, [here, nowHere], [there, nowThere]);
    await writeBase(of, newBase(nowHere, nowThere, base, isSame, folds));
    return done;
}

/**
 * Those that a side still has as it was looked at, or still has not: what came before may have taken long, and whoever
 * works there does not wait. The next sync sees what has become of the others.
 */
function untouched(names: readonly string[], before: Listing, now: Listing): string[] {
    return names.filter((name) => before.get(name) === now.get(name));
}

/** Whether two files that held the same have not been touched since. */
function isStill(alike: ReadonlySet<string>, name: string, ...sides: [Listing, Listing][]): boolean {
    return alike.has(name) && sides.every(([before, now]) => before.get(name) === now.get(name));
}

/**
 * Whether there is an rsync that can be trusted with what a server sends.
 *
 * @throws UserError saying how to get one.
 */
export async function ensureRsync(): Promise<void> {
    const { stdout } = await run("rsync", ["--version"]);
    const [, version, protocol] = /^rsync\s+version v?([\d.]+)\s+protocol version (\d+)/.exec(stdout) ?? [];
    if (Number(protocol ?? 0) < oldestProtocol) {
        const install = process.platform === "darwin" ? "brew install rsync" : "sudo apt-get install rsync";
        throw new UserError(
            `rsync 3.4.0 or later is needed on this machine, or one that has its security updates (protocol version ${oldestProtocol}), and ${version ? `${version} with protocol version ${protocol} is here` : "there is none"}. Type: ${install}`,
        );
    }
}

function makeFolder({ syncDir, uid, gid }: Settings): void {
    if (existsSync(syncDir)) {
        return;
    }
    mkdirSync(path.dirname(syncDir), { recursive: true });
    mkdirSync(syncDir, { mode: 0o700 });
    if (process.getuid?.() === 0) {
        lchownSync(syncDir, uid, gid);
    }
}

async function listThere(helper: WorkspaceHelper): Promise<Listing> {
    return parseListing(await helper.read(["find", ...findArguments]));
}

/** Those of some files that hold the same on both sides. */
async function sameContents({ settings, helper }: SyncOf, names: readonly string[]): Promise<Set<string>> {
    if (names.length === 0) {
        return new Set();
    }
    const said = await helper.read(["xargs", "-0", "sha256sum", "--zero", "--"], listOf(names));
    const there = new Map(
        said
            .toString("latin1")
            .split("\0")
            .map((line) => [line.slice(66).replace(/^\.\//, ""), line.slice(0, 64)]),
    );
    const same = new Set<string>();
    for (const name of names) {
        if ((await hashHere(settings.syncDir, name)) === there.get(name)) {
            same.add(name);
        }
    }
    return same;
}

/** Separated by zeros, each as no program takes it for an option. */
function listOf(names: readonly string[]): Buffer {
    return Buffer.from(names.map((name) => `./${name}\0`).join(""), "latin1");
}

/**
 * Files and folders first, and links when nothing more is brought: whatever the other end sends, no link of its making
 * leads elsewhere what comes after it.
 */
async function bring(of: SyncOf, names: readonly string[], from: Listing, way: "push" | "pull") {
    const isLink = (name: string) => from.get(name)?.startsWith("l ") === true;
    await transfer(
        of,
        names.filter((name) => !isLink(name)),
        way,
        [],
    );
    await transfer(of, names.filter(isLink), way, ["--links", "--safe-links"]);
}

/**
 * By rsync, whose other end is in the helper's container: Docker hands on its arguments as they are, so that no shell is
 * there to read them, and the names themselves come by standard input.
 */
async function transfer(
    { settings, helper, signal }: SyncOf,
    names: string[],
    way: "push" | "pull",
    kind: readonly string[],
): Promise<void> {
    if (names.length === 0) {
        return;
    }
    const { uid, gid } = settings;
    const [here, there] = [`${settings.syncDir}/`, `${helper.name}:/workspace/`];
    const args = [
        ...[...kind, "--perms", "--times", "--omit-dir-times", "--no-implied-dirs", "--chmod=ug-s,o-t"],
        ...["--from0", "--files-from=-", "--protect-args", `--partial-dir=${partials}`],
        // What root makes here is the workspace's user's, as the folder is.
        ...(way === "pull" && process.getuid?.() === 0 ? ["-og", `--chown=${uid}:${gid}`] : []),
        ...["--rsh", "docker exec --interactive", "--"],
        ...(way === "push" ? [here, there] : [there, here]),
    ];
    const { exitCode, stderr } = await execa("rsync", args, {
        input: listOf(names),
        reject: false,
        cancelSignal: signal,
    });
    signal.throwIfAborted();
    if (exitCode !== 0) {
        const lines = stderr.split("\n").filter((line) => line.trim());
        const words = lines.find((line) => !/^rsync error/.test(line)) ?? lines.at(-1) ?? `code ${exitCode}`;
        throw new UserError(
            `The files could not all be brought ${way === "push" ? "to the server" : "here"}: ${printableLine(words)}. What has arrived stays; the same command goes on.`,
        );
    }
}

async function removeThere(helper: WorkspaceHelper, names: readonly string[], there: Listing): Promise<void> {
    const { files, folders } = byKind(names, there);
    if (files.length > 0) {
        await helper.read(["xargs", "-0", "rm", "-f", "--"], listOf(files));
    }
    if (folders.length > 0) {
        // What is not empty holds what is not to go.
        const rmdir = ["xargs", "-0", "rmdir", "--ignore-fail-on-non-empty", "--"];
        await helper.read(rmdir, listOf(folders));
    }
}

function removeHere(folder: string, names: readonly string[], here: Listing): void {
    const { files, folders } = byKind(names, here);
    for (const name of files) {
        unlinkSync(bytesOf(folder, name));
    }
    for (const name of folders) {
        try {
            rmdirSync(bytesOf(folder, name));
        } catch {
            // What is not empty holds what is not to go.
        }
    }
}

/** The innermost folders first. */
function byKind(names: readonly string[], listing: Listing): { files: string[]; folders: string[] } {
    return {
        files: names.filter((name) => listing.get(name) !== "d"),
        folders: names.filter((name) => listing.get(name) === "d").reverse(),
    };
}

function refuseToEmpty({ syncDir, workspaceDir }: Settings, lost: "here" | "there"): never {
    const folder = lost === "here" ? syncDir : `${workspaceDir} on the server`;
    throw new UserError(
        `${folder} has nothing any more of what the last sync left, and --delete would remove all of it on the other side. Nothing was done. Leave out --delete to bring everything back, or remove it on the other side yourself.`,
    );
}

function basePath({ project, settings }: SyncOf): string {
    return ownFile(project, `sync-${settings.stack}.json`);
}

/** Of these two folders; of others nothing is known. */
function readBase(of: SyncOf): Base {
    const file = basePath(of);
    if (!existsSync(file)) {
        return new Map();
    }
    const advice = `Remove it (rm ${quoted(file)}); then what differs on both sides is a conflict.`;
    const { here, there, base } = parseDocument(file, stateFile, readFileSync(file, "utf8"), advice);
    const isOfThese = here === of.settings.syncDir && there === placeThere(of.settings);
    return new Map(isOfThese ? base.map(([name, one, other]) => [name, [one, other]]) : []);
}

async function writeBase(of: SyncOf, base: Base): Promise<void> {
    const entries = [...base].map(([name, [one, other]]) => [name, one, other]);
    const document = { here: of.settings.syncDir, there: placeThere(of.settings), base: entries };
    await writeWhole(basePath(of), JSON.stringify(document));
}

function placeThere({ server, workspaceDir }: Settings): string {
    return `${server?.host}:${server?.port ?? ""}:${workspaceDir}`;
}
