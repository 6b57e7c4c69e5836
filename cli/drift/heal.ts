import { catalogueName, everyService } from "../../catalogue";
import { contentLabel, type ImageBuild, suiteImages } from "../../catalogue/images";
import { thisMachine } from "../../settings/machine";
import type { Settings } from "../../settings/parse";
import { buildImages } from "../buildImages";
import { confirm } from "../confirm";
import { docker, lines, stackContainers, stackVolumes } from "../docker";
import { messageOf, UserError } from "../errors";
import { ensureHealthy } from "../health";
import { stopStack } from "../lifecycle";
import { plural } from "../output";
import { run } from "../process";
import type { Session } from "../session";
import { backups } from "../stackState";
import { type Difference, ofKind } from "./difference";
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
    if (!(await isTakenOver(session, drift))) {
        return;
    }
    await askForOwner(session, drift, `${command} --take-over`, permissions.takeOver);
    const volumes = await stackVolumes(session.stack);
    session.output.note(
        `This clone has no state of what Docker has of the stack ${session.stack}: it is taken over. ` +
            `Its data stay (${plural(volumes.length, "volume")}); containers${drift.isKnown ? "" : " and passwords"} are made anew.`,
    );
    const [backup] = drift.isKnown ? [] : backups(session);
    if (backup) {
        session.output.warn(
            `A backup of the state of ${backup.time} is there: \`./carbon state restore${session.stackFlag()}\` before the next \`up\` brings the passwords of that time back.`,
        );
    }
}

/** Whether Docker has parts of the stack that this clone's state does not know. */
async function isTakenOver({ stack }: Session, { differences, isKnown }: Drift): Promise<boolean> {
    const unknown = ofKind(differences, "unknown-container", "unknown-network");
    return unknown.length > 0 || (!isKnown && (await stackVolumes(stack)).length > 0);
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
    const { user } = thisMachine(session.project.dir);
    const others = drift.owners.filter((owner) => owner !== user);
    if (others.length > 0 && !isAllowed && (await isTakenOver(session, drift))) {
        const problem = `There is a stack ${session.stack} already, which the user ${others.join(", ")} has made, and this clone has no state of it.\n`;
        await allow(session, problem, "Go on with it, and its data?", command, "does it all the same");
    }
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

/**
 * Mends what no engine does: takes away what stands in the way, leaves networks that were joined, sets limits of
 * processes, starts what is ill anew, and builds images that are gone. It does again what a run before it did not end.
 *
 * @returns names of the resources that have to be replaced, as they cannot be mended.
 */
export async function heal(
    session: Session,
    settings: Settings,
    differences: readonly Difference[],
): Promise<string[]> {
    await removeContainers(session, differences);
    for (const { id = "", what } of ofKind(differences, "foreign-network", "unknown-network")) {
        session.output.note(`Removing the ${what}`);
        await removeNetwork(id);
    }
    for (const { id = "", what, network = "" } of ofKind(differences, "joined-network")) {
        session.output.note(`Taking ${what} off the network ${network}`);
        await docker("network", "disconnect", network, id);
    }
    for (const { id = "", what } of ofKind(differences, "processes")) {
        const limit = everyService.find(({ name }) => name === catalogueName(what))?.processes;
        await docker("update", "--pids-limit", String(limit), id);
    }
    await rebuildImages(session, settings, differences);
    const incurable = [...(await restartIll(session, differences)), ...ofKind(differences, "fixed-limit")];
    return [...new Set(incurable.flatMap(({ resource }) => resource ?? []))];
}

/** Containers of the stack's are given the time to end that they have; what is not the stack's is not asked. */
async function removeContainers(session: Session, differences: readonly Difference[]): Promise<void> {
    const unknown = ofKind(differences, "unknown-container").map(({ id }) => id);
    const own = (await stackContainers(session.stack)).filter(({ Id }) => unknown.includes(Id));
    await stopStack(session, own);
    for (const { id = "", what } of ofKind(differences, "unknown-container", "foreign-container")) {
        session.output.note(`Removing the container of ${what} that is not this clone's`);
        await docker("rm", "--force", id);
    }
}

/** Also stopped containers hold it, and those of others that were asked about. */
async function removeNetwork(id: string): Promise<void> {
    for (const container of lines(await docker("ps", "--all", "--quiet", "--filter", `network=${id}`))) {
        await docker("network", "disconnect", "--force", id, container);
    }
    await docker("network", "rm", id);
}

/** Those of the images that the deployment is going to use again: others are built by it anyway. */
async function rebuildImages(
    session: Session,
    settings: Settings,
    differences: readonly Difference[],
): Promise<void> {
    const gone = ofKind(differences, "missing-image", "moved-image").map(({ what }) => what);
    const wanted = Object.values(suiteImages(settings)).filter(({ tag }) => gone.includes(`image ${tag}`));
    const folders: ImageBuild["folder"][] = [];
    for (const { tag, id, folder } of settings.push ? [] : wanted) {
        // Without its tag, an image that containers run from is still there.
        const filter = `label=${contentLabel}=${id}`;
        const [untagged] = lines(await docker("image", "ls", "--quiet", "--no-trunc", "--filter", filter));
        if (untagged) {
            await docker("tag", untagged, tag);
        } else {
            folders.push(folder);
        }
    }
    if (folders.length > 0) {
        session.output.note(`Building what is gone: ${folders.join(", ")}`);
        await buildImages(settings, session, folders);
    }
}

/** @returns those that a restart does not cure. */
async function restartIll(session: Session, differences: readonly Difference[]): Promise<Difference[]> {
    const ill = ofKind(differences, "unhealthy");
    const cured = await Promise.all(
        ill.map(async ({ id = "", what }) => {
            session.output.note(`Starting ${what} anew, as it is not healthy`);
            return (await run("docker", ["restart", id])).exitCode === 0;
        }),
    );
    const restarted = ill.filter((_, index) => cured[index]);
    const containers = await stackContainers(session.stack);
    const incurable = ill.filter((_, index) => !cured[index]);
    for (const one of restarted) {
        try {
            await ensureHealthy(
                session,
                containers.filter(({ Id }) => Id === one.id),
            );
        } catch (error) {
            session.signal.throwIfAborted();
            session.output.warn(messageOf(error));
            incurable.push(one);
        }
    }
    return incurable;
}
