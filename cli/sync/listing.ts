import { createHash } from "node:crypto";
import {
    createReadStream,
    type Dirent,
    existsSync,
    lstatSync,
    mkdirSync,
    readdirSync,
    readlinkSync,
    rmdirSync,
} from "node:fs";
import * as path from "node:path";
import { pipeline } from "node:stream/promises";

/** Where rsync keeps what it has of a file that it was interrupted at. */
export const partials = ".rsync-partial";

/**
 * What lies in a folder: by path, a word that changes when the entry does. Paths are bytes, one a character, as names
 * need not be text.
 */
export type Listing = Map<string, string>;

/** For a path of a {@link Listing}. */
export function shownPath(name: string): string {
    return Buffer.from(name, "latin1").toString();
}

/** The same of all names that a folding file system takes for one another. In capitals, as ß and ς have but one each. */
export function foldedName(name: string): string {
    return shownPath(name).toUpperCase().normalize("NFC");
}

/** Whether a folder takes names of other case for the same, as on a Mac: it is tried with a name that no listing has. */
export function foldsNames(folder: string): boolean {
    const probe = path.join(folder, partials);
    const isThere = existsSync(probe);
    try {
        if (!isThere) {
            mkdirSync(probe);
        }
    } catch {
        // Where nothing can be made, nothing can come to lie over anything.
        return false;
    }
    try {
        const other = lstatSync(path.join(folder, partials.toUpperCase()), { throwIfNoEntry: false });
        return other?.ino === lstatSync(probe).ino;
    } finally {
        if (!isThere) {
            rmdirSync(probe);
        }
    }
}

/**
 * What lies in a folder of this machine; nothing where there is none. Links are not followed, and what goes while it is
 * looked at is not there.
 */
export function listHere(folder: string): Listing {
    const found: Listing = new Map();
    const visit = (below: string) => {
        const options = { withFileTypes: true, encoding: "buffer" } as const;
        for (const entry of ifThere(() => readdirSync(bytesOf(folder, below), options)) ?? []) {
            const name = path.posix.join(below, entry.name.toString("latin1"));
            const file = bytesOf(folder, name);
            if (entry.name.toString("latin1") === partials) {
                continue;
            }
            const word = ifThere(() => wordOf(entry, file));
            if (word) {
                found.set(name, word);
            }
            if (word === "d") {
                visit(name);
            }
        }
    };
    visit("");
    return found;
}

function wordOf(entry: Dirent<Buffer>, file: Buffer): string | undefined {
    if (entry.isSymbolicLink()) {
        return `l ${readlinkSync(file, "buffer").toString("latin1")}`;
    }
    if (entry.isFile()) {
        const { size, mtimeMs } = lstatSync(file);
        return `f ${size} ${Math.floor(mtimeMs / 1000)}`;
    }
    return entry.isDirectory() ? "d" : undefined;
}

function ifThere<T>(look: () => T): T | undefined {
    try {
        return look();
    } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") {
            return undefined;
        }
        throw error;
    }
}

/** Arguments of GNU find that print what {@link parseListing} reads. */
export const findArguments: readonly string[] = [
    // Folders are used while they are looked at.
    ...["/workspace", "-ignore_readdir_race", "-mindepth", "1", "(", "-name", partials, "-prune", ")", "-o"],
    ...["-printf", "%P\\0%y\\0%s\\0%T@\\0%l\\0"],
];

/** The same of a folder that `find` has listed. */
export function parseListing(said: Buffer): Listing {
    const fields = said.toString("latin1").split("\0");
    const found: Listing = new Map();
    for (let at = 0; at + 4 < fields.length; at += 5) {
        const [name = "", kind, size, time, target] = fields.slice(at, at + 5);
        const word = {
            d: "d",
            l: `l ${target}`,
            f: `f ${size} ${Math.floor(Number(time))}`,
        }[kind ?? ""];
        // It comes from a container: nothing of it leads out of the folder, by its name or through what is no folder.
        // `find` says a folder before what is in it.
        const parent = parentOf(name);
        if (word && isWithin(name) && (parent === "" || found.get(parent) === "d")) {
            found.set(name, word);
        }
    }
    return found;
}

function isWithin(name: string): boolean {
    return name.split("/").every((part) => !["", ".", "..", partials].includes(part));
}

/** The folder that a path lies in; empty for the outermost. */
export function parentOf(name: string): string {
    return name.slice(0, Math.max(name.lastIndexOf("/"), 0));
}

/** Whether a link leads out of the folder, or to a place that only one of the machines has. */
export function leadsOut(name: string, word: string): boolean {
    if (!word.startsWith("l ")) {
        return false;
    }
    const target = word.slice(2);
    const led = path.posix.normalize(path.posix.join(path.posix.dirname(name), target));
    return target.startsWith("/") || led === ".." || led.startsWith("../");
}

/** SHA-256 of a file of this machine. */
export async function hashHere(folder: string, name: string): Promise<string> {
    const hash = createHash("sha256");
    await pipeline(createReadStream(bytesOf(folder, name)), hash);
    return hash.digest("hex");
}

/** A path of a listing as the system takes it. */
export function bytesOf(folder: string, name: string): Buffer {
    return Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(name, "latin1")]);
}
