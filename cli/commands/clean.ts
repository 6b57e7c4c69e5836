import { type Command, InvalidArgumentError } from "commander";
import pc from "picocolors";
import { action, type Handler } from "../action";
import { confirm, ensureAnswerable } from "../confirm";
import { messageOf, UserError } from "../errors";
import { type Kind, kinds, type Leftover, leftovers } from "../leftovers";
import { formatBytes } from "../output";
import type { Session } from "../session";
import { renderTable } from "../tables";

interface CleanFlags {
    dryRun: boolean;
    previous: boolean;
}

/** `carbon clean`. */
export function addClean(program: Command): void {
    program
        .command("clean")
        .argument("[what...]", `some of ${kinds.join(", ")} (default: all)`, parseKinds, [...kinds])
        .description(
            "say what of the suite's no stack of this clone needs any more and how much it takes, ask, and remove it",
        )
        .option("--dry-run", "only say it", false)
        .option("--previous", "also the images that `carbon rollback` would go back to", false)
        .action(action(clean));
}

// Commander hands over one word at a time, with what the words before have come to: at first the default.
function parseKinds(word: string, before: Kind[]): Kind[] {
    const kind = kinds.find((one) => one === word);
    if (!kind) {
        throw new InvalidArgumentError(`Allowed: ${kinds.join(", ")}.`);
    }
    return [...(before.length === kinds.length ? [] : before), kind];
}

const clean: Handler<CleanFlags> = async (session, flags, words) => {
    if (!flags.dryRun) {
        ensureAnswerable(session, "clean");
    }
    const chosen = kinds.filter((kind) => words.length === 0 || words.includes(kind));
    const found = await leftovers(session, chosen, flags);
    if (found.length === 0 || flags.dryRun) {
        const text = found.length > 0 ? table(found, session.width) : "There is nothing to remove.";
        session.output.result(text, {
            stack: session.stack,
            found: found.map(described),
            reclaimable: sum(found),
            removed: [],
            freed: 0,
        });
        return 0;
    }
    if (!session.options.yes) {
        session.output.note(`${table(found, session.width)}\n`);
        await confirm(session, "Remove this?");
    }
    const { removed, failed } = await remove(session, found);
    const freed = sum(removed);
    const lines = [
        ...(removed.length > 0 ? [table(removed, session.width, "Removed")] : ["Nothing was removed."]),
        ...failed.map(({ what, reason }) => `${pc.yellow("!")} ${what} stays: ${reason}`),
    ];
    session.output.result(lines.join("\n"), {
        stack: session.stack,
        found: found.map(described),
        reclaimable: sum(found),
        removed: removed.map(described),
        failed,
        freed,
    });
    return failed.length > 0 ? 1 : 0;
};

/** Goes on where one of them cannot be removed. */
async function remove(session: Session, found: readonly Leftover[]) {
    const removed: Leftover[] = [];
    const failed: { what: string; reason: string }[] = [];
    for (const leftover of found) {
        session.signal.throwIfAborted();
        try {
            await leftover.remove();
            removed.push(leftover);
        } catch (error) {
            if (!(error instanceof UserError) && !(error instanceof Error && "code" in error)) {
                throw error;
            }
            failed.push({ what: leftover.what, reason: messageOf(error) });
        }
    }
    return { removed, failed };
}

function described({ kind, what, bytes, why }: Leftover) {
    return { kind, what, bytes, why };
}

function sum(found: readonly Leftover[]): number {
    return found.reduce((bytes, one) => bytes + (one.bytes ?? 0), 0);
}

function table(found: readonly Leftover[], width: number | undefined, heading = "What"): string {
    const rows = found.map(({ kind, what, bytes, why }) => [
        kind,
        what,
        bytes === undefined ? "-" : formatBytes(bytes),
        why,
    ]);
    const total = `${formatBytes(sum(found))} in all; layers that images share with others are freed with the last of them.`;
    return `${renderTable(["Kind", heading, "Size", "Why"], rows, width)}\n\n${total}`;
}
