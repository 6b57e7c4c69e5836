import { catalogueName, everyService, workspace } from "../catalogue";
import { type ContainerDetails, docker, nameOf, stackContainers } from "./docker";
import { UserError } from "./errors";
import { ensureHealthy, serviceOf } from "./health";
import type { Session } from "./session";

/** Those that do not run, but would after a `docker start` or `docker unpause`. */
export function stoppedOf(containers: readonly ContainerDetails[]): ContainerDetails[] {
    return containers.filter(({ State }) => ["exited", "created", "paused"].includes(State.Status));
}

/**
 * Whether it has been started once. One that has not lacks the files that it gets before its start, where what made it was
 * cut off; a deployment makes it anew.
 */
export function hasRun({ State }: ContainerDetails): boolean {
    return State.Status !== "created";
}

/** The containers' services, to be listed. */
export function serviceNames(containers: readonly ContainerDetails[]): string {
    return containers.map(serviceOf).join(", ");
}

/**
 * Those of the stack that are stopped. None where Docker does not answer: what is done next will say so.
 */
export async function stoppedContainers(session: Session): Promise<ContainerDetails[]> {
    return stoppedOf(await stackContainers(session.stack).catch(() => []));
}

/**
 * Refuses what would take a stopped container for one that is gone: the Docker provider, told to look, deletes it.
 *
 * @throws UserError where one is stopped.
 */
export async function ensureNoneStopped(session: Session): Promise<void> {
    const stopped = await stoppedContainers(session);
    if (stopped.length > 0) {
        throw new UserError(
            `Stopped: ${serviceNames(stopped)}. What is stopped cannot be compared with what it should be. ` +
                `Type: ./carbon start${session.stackFlag()}`,
        );
    }
}

/**
 * Stops the stack's containers: the workspace first, whose programs use the others, and each service before the one that
 * it needs. Each has the time that its catalogue entry gives it.
 *
 * @returns names of those that were running.
 */
export async function stopStack(
    session: Session,
    containers: readonly ContainerDetails[],
): Promise<string[]> {
    const running = containers.filter(({ State }) =>
        ["running", "paused", "restarting"].includes(State.Status),
    );
    for (const group of inOrder(running).reverse()) {
        session.signal.throwIfAborted();
        session.output.note(`Stopping ${serviceNames(group)}`);
        await docker("stop", ...group.map(({ Id }) => Id));
    }
    return running.map(nameOf);
}

/**
 * Starts those of the containers that are stopped, what others need first, and waits until each is healthy.
 *
 * @returns names of those that were stopped.
 * @throws UserError naming the service that does not get well.
 */
export async function startStack(
    session: Session,
    containers: readonly ContainerDetails[],
): Promise<string[]> {
    const stopped = stoppedOf(containers);
    for (const group of inOrder(stopped)) {
        session.signal.throwIfAborted();
        session.output.note(`Starting ${serviceNames(group)}`);
        for (const { Id, State } of group) {
            await docker(State.Status === "paused" ? "unpause" : "start", Id);
        }
        await ensureHealthy(session, group);
    }
    return stopped.map(nameOf);
}

/** Groups that can be started side by side; whatever one needs is in an earlier group. */
function inOrder(containers: readonly ContainerDetails[]): ContainerDetails[][] {
    const groups: ContainerDetails[][] = [];
    for (const container of containers) {
        const rank = rankOf(serviceOf(container));
        groups[rank] = [...(groups[rank] ?? []), container];
    }
    return groups.filter((group) => group);
}

function rankOf(service: string): number {
    const deepest = Math.max(...everyService.map(({ name }) => depth(name)));
    return service === workspace.name ? deepest + 1 : depth(catalogueName(service));
}

function depth(service: string): number {
    const needs = everyService.find(({ name }) => name === service)?.needs;
    return needs ? depth(needs) + 1 : 0;
}
