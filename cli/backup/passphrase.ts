import { readFileSync, statSync } from "node:fs";
import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import type { Command } from "commander";
import { exitCodes, Interrupted, messageOf, UserError } from "../errors";
import { quoted } from "../quoted";
import type { Session } from "../session";

/** What the commands that read or write a backup take. */
export interface PassphraseFlags {
    passphraseFile?: string;
}

/** Adds the option `--passphrase-file`. */
export function passphraseOption(command: Command): Command {
    return command.option(
        "--passphrase-file <file>",
        "file with the passphrase of the backup (default: it is asked for)",
    );
}

/**
 * The passphrase of a backup: out of a file, or typed by the user, who does not see it.
 *
 * @param isNew Whether a backup is made with it: then it is asked for twice.
 * @throws UserError where the file cannot be read or is empty, or nobody can be asked; Interrupted at Ctrl-C.
 */
export async function readPassphrase(
    session: Session,
    { passphraseFile }: PassphraseFlags,
    { isNew }: { isNew: boolean },
): Promise<string> {
    if (passphraseFile !== undefined) {
        return fromFile(session, passphraseFile);
    }
    if (!session.interactive) {
        throw new UserError(
            "A backup has a passphrase, and nobody can be asked here. Put it into a file and add --passphrase-file FILE.",
            exitCodes.usage,
        );
    }
    const passphrase = await ask(session, "Passphrase of the backup: ");
    if (isNew && passphrase !== (await ask(session, "The same again: "))) {
        throw new UserError("The two are not the same. Nothing was changed.", exitCodes.usage);
    }
    return passphrase;
}

function fromFile(session: Session, file: string): string {
    let text: string;
    try {
        text = readFileSync(file, "utf8");
        const found = statSync(file);
        // What `<(…)` names is a pipe.
        if (found.isFile() && (found.mode & 0o077) !== 0) {
            session.output.warn(`Others may read the passphrase in ${file}. Type: chmod 600 ${quoted(file)}`);
        }
    } catch (error) {
        throw new UserError(
            `--passphrase-file: ${file} cannot be read: ${messageOf(error)}`,
            exitCodes.usage,
        );
    }
    return nonEmpty(text.replace(/\r?\n$/, ""));
}

function nonEmpty(passphrase: string): string {
    if (passphrase === "") {
        throw new UserError(
            "The passphrase is empty: a backup holds every password of the stack, and this is what keeps it closed.",
            exitCodes.usage,
        );
    }
    return passphrase;
}

async function ask(session: Session, question: string): Promise<string> {
    process.stderr.write(question);
    // What readline would echo goes nowhere.
    const output = new Writable({ write: (_chunk, _encoding, done) => done() });
    const prompt = createInterface({ input: process.stdin, output, terminal: true });
    prompt.once("SIGINT", () => process.kill(process.pid, "SIGINT"));
    try {
        return nonEmpty(await prompt.question("", { signal: session.signal }));
    } catch (error) {
        throw session.signal.aborted ? new Interrupted("Interrupted; nothing was changed.") : error;
    } finally {
        prompt.close();
        process.stderr.write("\n");
    }
}
