import { randomUUID } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";

/**
 * Writes a file of mode 0600 in one move: whoever reads it, and whatever ends this process or the machine, it is the old
 * one or the new one, whole. Not `write-file-atomic`: that puts a file in place that a full disk has cut short, as it
 * does not look how much of it was written.
 * @throws when it cannot be written; then it is as it was.
 */
export async function writeWhole(path: string, data: string | Buffer): Promise<void> {
    const draft = `${path}.${randomUUID()}.tmp`;
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
