import { linkSync, readFileSync, renameSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { z } from "zod";
import { Crypter } from "./crypto";
import { CheckpointFile } from "./state";
import { writeWhole } from "./write-whole";

/** The newest version of checkpoints that this engine reads. */
export const newestCheckpoint = 3;

const envelope = z.looseObject({
    version: z.int(),
    checkpoint: z.looseObject({
        latest: z
            .looseObject({ manifest: z.looseObject({ time: z.iso.datetime({ offset: true }) }).nullish() })
            .nullish(),
    }),
});

/**
 * What is wrong with a file that should hold a whole checkpoint; undefined where nothing is, or there is none. Only its
 * outer shape is looked at.
 * @param newest the newest version that is understood.
 * @returns the end of a sentence that begins with the file.
 */
export function checkpointFault(path: string, newest = newestCheckpoint): string | undefined {
    let text: string;
    try {
        if (!statSync(path, { throwIfNoEntry: false })) {
            return undefined;
        }
        text = readFileSync(path, "utf8");
    } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === "EISDIR") {
            return "is a folder";
        }
        if (code === "EACCES" || code === "EPERM") {
            return "may not be read by you";
        }
        throw error;
    }
    if (text.trim() === "") {
        return "is empty";
    }
    const document = parse(text);
    if (document === undefined) {
        return "is cut short or damaged";
    }
    const { data } = envelope.safeParse(document);
    if (!data) {
        return "holds something else than a stack's state";
    }
    return data.version > newest
        ? `has version ${data.version}, made by a newer program; version ${newest} is the newest that is understood here`
        : undefined;
}

/** When a whole checkpoint was written, in ISO 8601; undefined where it does not say. */
export function checkpointTime(path: string): string | undefined {
    const { data } = envelope.safeParse(parse(readFileSync(path, "utf8")));
    return data?.checkpoint.latest?.manifest?.time;
}

/**
 * Whether a passphrase opens the secrets of a whole checkpoint. It takes as long as opening it does: some 0.2 s.
 * @throws EngineError when the checkpoint is of another shape than it should be.
 */
export async function opensCheckpoint(path: string, passphrase: string): Promise<boolean> {
    const { salt } = new CheckpointFile(path);
    return (
        salt === undefined ||
        Crypter.open(passphrase, salt).then(
            () => true,
            () => false,
        )
    );
}

/** Moves whatever lies at a checkpoint's path out of the way, under a name that says when. @returns that name. */
export function setAside(path: string): string {
    const aside = asideName(path);
    renameSync(path, aside);
    return aside;
}

/**
 * Puts a copy of another file in a checkpoint's place, in one move, and keeps what was there.
 * @returns the name that what was there has now; undefined where nothing was.
 */
export async function replaceCheckpoint(path: string, from: string): Promise<string | undefined> {
    const text = await readFile(from);
    let aside: string | undefined;
    const there = statSync(path, { throwIfNoEntry: false });
    if (there?.isFile()) {
        aside = asideName(path);
        linkSync(path, aside);
    } else if (there) {
        aside = setAside(path);
    }
    await writeWhole(path, text);
    return aside;
}

function asideName(path: string): string {
    return `${path}.${new Date().toISOString().replace(/[-:.]/g, "")}.aside`;
}

function parse(text: string): unknown {
    try {
        return JSON.parse(text);
    } catch {
        return undefined;
    }
}
