import { thisMachine } from "../../settings/machine";
import { confirm } from "../confirm";
import { docker, lines, stackContainers, stackLabel, userLabel } from "../docker";
import { UserError } from "../errors";
import { plural } from "../output";
import type { Session } from "../session";
import { backups } from "../stackState";
import { ofKind } from "./difference";
import type { Drift } from "./index";

/** What may be taken away for the stack's sake, beyond what is its own. */
export interface Permissions {
    /** What has the stack's name and is not the stack's. */
    replaceForeign: boolean;
    /** What another user has made. */
    takeOver: boolean;
}

/**
 * Refuses, or asks about, what stands in the stack's way and is not its own: things with its name that somebody made by
 * hand, and a stack of this name that another user has made. Says so where a stack is taken over.
 *
 * @param command What the user types, to be named with the option that allows it.
 * @throws UserError naming each with its age and what it is made from; Declined.
 */
export async function askForOthers(
    session: Session,
    drift: Drift,
    permissions: Permissions,
    command = "up",
): Promise<void> {
    const foreign = ofKind(drift.differences, "foreign-container", "foreign-network");
    if (foreign.length > 0 && !permissions.replaceForeign) {
        const list = foreign.map(({ what, found }) => `  ${what}: ${found}`).join("\n");
        const problem = `What is not the stack's stands in its way:\n${list}\n`;
        await allow(session, problem, "Remove them?", `${command} --replace-foreign`, "removes them");
    }
    if (!isTakenOver(drift)) {
        return;
    }
    await askForOwner(session, drift, `${command} --take-over`, permissions.takeOver);
    session.output.note(describeTakeOver(session, drift));
    const [backup] = drift.isKnown ? [] : backups(session);
    if (backup) {
        session.output.warn(
            `A backup of the state of ${backup.time} is there: \`./carbon state restore${session.stackFlag()}\` before the next \`up\` brings the passwords of that time back.`,
        );
    }
}

/** What becomes of parts of the stack that Docker has and this clone's state does not know. */
export function describeTakeOver({ stack }: Session, { isKnown, volumes }: Drift): string {
    const knows = isKnown
        ? "This clone's state is not that of what Docker has of the stack"
        : "This clone has no state of what Docker has of the stack";
    return (
        `${knows} ${stack}: it is taken over. ` +
        `Its data stay (${plural(volumes.length, "volume")}); containers${isKnown ? "" : " and passwords"} are made anew.`
    );
}

/** Whether Docker has parts of the stack that this clone's state does not know. */
export function isTakenOver({ differences, isKnown, volumes }: Drift): boolean {
    const unknown = ofKind(differences, "unknown-container", "unknown-network");
    return unknown.length > 0 || (!isKnown && volumes.length > 0);
}

/**
 * Asks before what another user has made is touched, where this clone's state does not know it. What an older version made
 * does not say whose it is.
 *
 * @param command What to type to do it all the same.
 * @param isAllowed Whether the command line allows it.
 * @throws UserError naming the user; Declined.
 */
export async function askForOwner(
    session: Session,
    drift: Drift,
    command: string,
    isAllowed: boolean,
): Promise<void> {
    if (isAllowed || !isTakenOver(drift)) {
        return;
    }
    const { user } = thisMachine(session.project.dir);
    const others = (await findOwners(session.stack)).filter((owner) => owner !== user);
    if (others.length > 0) {
        const problem = `There is a stack ${session.stack} already, which the user ${others.join(", ")} has made, and this clone has no state of it.\n`;
        await allow(session, problem, "Go on with it, and its data?", command, "does it all the same");
    }
}

/** Users who have made containers, volumes and networks of the stack, as their labels say. */
async function findOwners(stack: string): Promise<string[]> {
    const format = `user={{.Label "${userLabel}"}}`;
    const args = ["--filter", `label=${stackLabel}=${stack}`, "--format", format];
    const texts = await Promise.all(["volume", "network"].map((kind) => docker(kind, "ls", ...args)));
    const containers = await stackContainers(stack);
    return [
        ...new Set([
            ...texts.flatMap(lines).flatMap((line) => /^user=(.+)$/.exec(line)?.[1] ?? []),
            ...containers.flatMap(({ Config }) => Config.Labels[userLabel] ?? []),
        ]),
    ];
}

/** Asks where somebody is there to be asked; `--yes` is no answer to this. */
async function allow(
    session: Session,
    problem: string,
    question: string,
    command: string,
    does: string,
): Promise<void> {
    if (!session.interactive || session.options.yes) {
        throw new UserError(
            `${problem}Nothing was changed. ./carbon ${command}${session.stackFlag()} ${does}.`,
        );
    }
    session.output.note(problem.trimEnd());
    await confirm(session, question);
}
