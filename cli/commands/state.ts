import * as fs from "node:fs";
import { opensCheckpoint, replaceCheckpoint, setAside } from "@carbon/engine";
import type { Command } from "commander";
import { action, type Handler } from "../action";
import { confirm, ensureAnswerable } from "../confirm";
import { UserError } from "../errors";
import { readPassphrase } from "../project";
import type { Session } from "../session";
import { type Backup, backups, stateFile, wayWithout, whileLocked } from "../stackState";

/** `carbon state restore` and `carbon state forget`. */
export function addState(program: Command): void {
    const state = program
        .command("state")
        .description("mend the file in which the stack's state is kept: restore, forget");
    state
        .command("restore")
        .description(
            "put back the newest whole backup of the stack's state file; what is there now is set aside",
        )
        .action(action(restore));
    state
        .command("forget")
        .description("set the stack's state file aside; containers and volumes stay as they are")
        .action(action(forget));
}

const restore: Handler<unknown> = async (session) => {
    ensureAnswerable(session, "state restore");
    const file = stateFile(session);
    const backup = await newestThatOpens(session);
    if (!backup) {
        throw new UserError(
            `There is no backup of the state file ${file} that is whole and that the passphrase opens. Type: ${wayWithout(session.stackFlag())}`,
        );
    }
    await confirm(session, `Put the backup of ${backup.time} in the place of the state file ${file}?`);
    const aside = await whileLocked(session, () => replaceCheckpoint(file, backup.file));
    const flag = session.stackFlag();
    session.output.result(
        [
            `The state file ${file} is the backup of ${backup.time} again.`,
            ...(aside ? [`What was there: ${aside}`] : []),
            `\`./carbon up${flag}\` makes good what happened since.`,
        ].join("\n"),
        { stack: session.stack, file, backup, aside },
    );
};

const forget: Handler<unknown> = async (session) => {
    ensureAnswerable(session, "state forget");
    const file = stateFile(session);
    if (!fs.existsSync(file)) {
        throw new UserError(`There is no state file ${file}. Type: ./carbon up${session.stackFlag()}`);
    }
    await confirm(
        session,
        `Set the state file ${file} aside? What it alone knows is lost: the stack's passwords, and what of Docker's is the stack's.`,
    );
    const aside = await whileLocked(session, async () => setAside(file));
    session.output.result(`The state file lies in ${aside} now. Type: ./carbon up${session.stackFlag()}`, {
        stack: session.stack,
        file,
        aside,
    });
};

async function newestThatOpens(session: Session): Promise<Backup | undefined> {
    const passphrase = readPassphrase(session.project, process.env);
    for (const backup of backups(session)) {
        if (await opensCheckpoint(backup.file, passphrase).catch(() => false)) {
            return backup;
        }
    }
    return undefined;
}
