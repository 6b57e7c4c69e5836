import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { writeWhole } from "@carbon/engine";
import { z } from "zod";
import { parseDocument } from "../documents";
import { UserError } from "../errors";
import { ownFile } from "../project";
import { quoted } from "../quoted";
import { stackFlag } from "../stackFlag";
import type { StackOf } from "../stackState";

const restoring = z.object({
    /** The backup, by its whole path. */
    file: z.string(),
    /** The volumes that are being replaced. */
    parts: z.array(z.string()),
    /** Whether these parts alone were asked for, and not the whole stack. */
    only: z.boolean(),
    /** When it was begun (ISO 8601). */
    when: z.iso.datetime(),
    /** Ids of the containers that were stopped for it. */
    stopped: z.array(z.string()),
});
/** A restore that has begun to replace volumes. */
export type Restoring = z.infer<typeof restoring>;

/**
 * The restore of this stack that has begun and not come to its end.
 *
 * @throws UserError where the file in which it is noted cannot be read as what it should be.
 */
export function readRestoring(of: StackOf): Restoring | undefined {
    const file = journalFile(of);
    return existsSync(file)
        ? parseDocument(
              `The note of a restore ${file}`,
              restoring,
              readFileSync(file, "utf8"),
              "Remove it, and restore the stack again.",
          )
        : undefined;
}

/** Notes a restore before the first volume changes; the note is removed by {@link endRestoring}. */
export async function beginRestoring(of: StackOf, note: Restoring): Promise<void> {
    const file = journalFile(of);
    mkdirSync(join(file, ".."), { recursive: true, mode: 0o700 });
    await writeWhole(file, `${JSON.stringify(note, null, 4)}\n`);
}

/** Forgets the restore: all of it is done, or nothing of it, or the volumes are gone. */
export function endRestoring(of: StackOf): void {
    rmSync(journalFile(of), { force: true });
}

/**
 * Refuses to go on where a restore was cut off, as some of the volumes are the backup's and some are not.
 *
 * @param replaced Volumes that are about to be replaced anyway.
 * @throws UserError saying which restore it was, and what to type.
 */
export function ensureNotRestoring(of: StackOf, replaced: readonly string[] = []): void {
    const why = whyRestoring(of, replaced);
    if (why) {
        throw new UserError(why);
    }
}

/** The same as a sentence, for a command that only tells; undefined where no restore was cut off. */
export function whyRestoring(of: StackOf, replaced: readonly string[] = []): string | undefined {
    const note = readRestoring(of);
    if (!note || note.parts.every((part) => replaced.includes(part))) {
        return undefined;
    }
    const { file, parts, only, when } = note;
    const flags = `${only ? ` --only ${parts.join(" ")}` : ""}${stackFlag(of.stack)}`;
    return (
        `A restore of ${file}, begun ${when}, did not come to its end, so that ${parts.join(", ")} may be of different days. ` +
        `Type it again: ./carbon restore ${quoted(file)}${flags} (or give the data up: ./carbon down --volumes${stackFlag(of.stack)})`
    );
}

function journalFile({ project, stack }: StackOf): string {
    return ownFile(project, join("restoring", `${stack}.json`));
}
