import { setTimeout as sleep } from "node:timers/promises";
import { catalogueName, everyService, leastPatience, patienceSeconds } from "../catalogue";
import { type ContainerDetails, nameOf, serviceLabel, stackContainers } from "./docker";
import { Interrupted, UserError } from "./errors";
import { printableLine } from "./printable";
import type { Session } from "./session";

const pollMilliseconds = 500;
/** How often it is said what is waited for. */
const sayMilliseconds = 60_000;
/** Of what a health check or Docker says. */
const longestError = 300;

/** Whether the container runs, and its health check, where it has one, agrees. */
export function isWell({ State }: ContainerDetails): boolean {
    return State.Status === "running" && (State.Health?.Status ?? "healthy") === "healthy";
}

/**
 * Why a container is not well, on one line: what its last failing health check said, what Docker says, or how it ended.
 * Also of one whose checks have begun to fail. Undefined where nothing of the kind is known.
 */
export function lastError(container: ContainerDetails): string | undefined {
    const { State } = container;
    const isFailing = !isWell(container) || (State.Health?.FailingStreak ?? 0) > 0;
    const failing = isFailing
        ? State.Health?.Log.filter(({ ExitCode }) => ExitCode !== 0)
              .at(-1)
              ?.Output.trim()
        : undefined;
    const killed = State.OOMKilled ? "killed for want of memory" : undefined;
    const ended = State.ExitCode ? `ended with exit code ${State.ExitCode}` : undefined;
    const text = State.Status === "running" ? failing : State.Error || killed || ended || failing;
    if (!text) {
        return undefined;
    }
    const line = printableLine(text);
    return line.length > longestError ? `${line.slice(0, longestError)}…` : line;
}

/**
 * Seconds that are waited for a container that is not well: as long as a deployment waits for its service where it is
 * still starting, and less where Docker calls it unhealthy or has to start it again and again.
 */
export function patienceOf(container: ContainerDetails): number {
    const { Status, Health } = container.State;
    const service = everyService.find(({ name }) => name === catalogueName(serviceOf(container)));
    return service && Status === "running" && Health?.Status === "starting"
        ? patienceSeconds(service.health)
        : leastPatience;
}

/**
 * Waits until every container of the stack is well, or those of `only`. Says each minute what it waits for.
 *
 * @throws UserError naming the service that does not get well and what its health check said; Interrupted at Ctrl-C.
 */
export async function ensureHealthy(session: Session, only?: readonly ContainerDetails[]): Promise<void> {
    const started = Date.now();
    let said = started;
    for (let first = true; ; first = false) {
        const all = await stackContainers(session.stack);
        const chosen = only ? all.filter(({ Id }) => only.some((one) => one.Id === Id)) : all;
        const waiting = chosen.filter((container) => !isWell(container));
        if (waiting.length === 0) {
            return;
        }
        const ended = waiting.filter(({ State }) => State.Status === "exited");
        const waited = Date.now() - started;
        const late = waiting.filter((container) => waited > patienceOf(container) * 1000);
        if (ended.length > 0 || late.length > 0) {
            throw new UserError(describeIll(session, ended.length > 0 ? ended : late, ended.length > 0));
        }
        if (first && !only) {
            session.output.note(`Waiting until ${waiting.map(serviceOf).join(", ")} is healthy`);
        }
        if (Date.now() - said >= sayMilliseconds) {
            said = Date.now();
            session.output.note(describeWait(waiting));
        }
        await sleep(pollMilliseconds, undefined, { signal: session.signal }).catch(() => {
            throw new Interrupted();
        });
    }
}

/** What is waited for, and what its check says. */
export function describeWait(waiting: readonly ContainerDetails[]): string {
    const services = waiting.map((container) => {
        const error = lastError(container);
        return `${serviceOf(container)}${error ? ` (${error})` : ""}`;
    });
    return `Not healthy yet, and waited for: ${services.join(", ")}`;
}

function describeIll(session: Session, ill: readonly ContainerDetails[], ended: boolean): string {
    const [first] = ill;
    const said = ill.flatMap((container) => {
        const error = lastError(container);
        return error ? [`  ${serviceOf(container)}: ${error}`] : [];
    });
    return [
        `${ill.map(serviceOf).join(", ")} ${ended ? "does not stay up" : "does not get healthy"}. ` +
            `Type: ./carbon logs ${first && serviceOf(first)}${session.stackFlag()}`,
        ...said,
    ].join("\n");
}

/** The service that a container runs. */
export function serviceOf(container: ContainerDetails): string {
    return container.Config.Labels[serviceLabel] ?? nameOf(container);
}
