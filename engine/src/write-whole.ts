import { randomUUID } from "node:crypto";
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";

/** Name of a file's first draft, by which one that was left behind is known: `<path>.<uuid>.tmp`. */
export function draftOf(path: string): string {
    return `${path}.${randomUUID()}.tmp`;
}

/**
 * Writes a file of mode 0600 in one move: whoever reads it, and whatever ends this process or the machine, it is the old
 * one or the new one, whole. Not `write-file-atomic`: that puts a file in place that a full disk has cut short, as it
 * does not look how much of it was written.
 * @throws when it cannot be written; then it is as it was.
 */
export async function writeWhole(path: string, data: string | Buffer): Promise<void> {
    const draft = draftOf(path);
    try {
        const file = await open(draft, "wx", 0o600);
        try {
            await file.writeFile(data);
            await file.sync();
        } finally {
            await file.close();
        }
        await rename(draft, path);
    } catch (error) {
        await rm(draft, { force: true });
        throw error;
    }
}

/**
 * The same at once, for what nobody misses after a crash of the machine: it is not waited for the disk.
 * @param draft where it is written first, on the same file system.
 * @throws when it cannot be written; then it is as it was.
 */
export function writeWholeSync(path: string, data: string, draft = draftOf(path)): void {
    try {
        writeFileSync(draft, data, { mode: 0o600, flag: "wx" });
        renameSync(draft, path);
    } catch (error) {
        rmSync(draft, { force: true });
        throw error;
    }
}
