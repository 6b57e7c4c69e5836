import { createInterface } from "node:readline/promises";
import { Declined, exitCodes, Interrupted, UserError } from "./errors";
import { printable } from "./printable";
import type { Session } from "./session";

/**
 * Refuses to go on when a question would have to be asked and nobody is there to answer.
 *
 * @throws UserError with the exit code for wrong usage.
 */
export function ensureAnswerable(session: Session, action: string): void {
    if (!session.options.yes && !session.interactive) {
        throw new UserError(
            `${action} needs a yes, and nobody can be asked here. Add --yes to do it without asking.`,
            exitCodes.usage,
        );
    }
}

/**
 * Asks, unless `--yes` has answered already.
 *
 * @throws Declined when the answer is no; Interrupted at Ctrl-C.
 */
export async function confirm(session: Session, question: string): Promise<void> {
    if (session.options.yes) {
        return;
    }
    const prompt = createInterface({ input: process.stdin, output: process.stderr });
    // While it reads, the prompt keeps Ctrl-C to itself.
    prompt.once("SIGINT", () => process.kill(process.pid, "SIGINT"));
    try {
        const answer = await prompt.question(`${printable(question)} [y/N] `, { signal: session.signal });
        if (!/^y(es)?$/i.test(answer.trim())) {
            throw new Declined("Nothing was changed.");
        }
    } catch (error) {
        throw session.signal.aborted ? new Interrupted("Interrupted; nothing was changed.") : error;
    } finally {
        prompt.close();
    }
}
