import { setTimeout as sleep } from "node:timers/promises";
import { docker, lines, serviceLabel, stackLabel } from "../docker";
import { parseDocument } from "../documents";
import { Interrupted, UserError } from "../errors";
import { printableLine } from "../printable";
import { run } from "../process";
import type { Session } from "../session";
import {
    nodes as nodesSchema,
    type Share,
    type SwarmNode,
    type SwarmServiceDetails,
    type SwarmTask,
    services as servicesSchema,
    taskDetails,
    task as taskSchema,
} from "./documents";

const pollMilliseconds = 1000;
/** For all containers of a service to run again after a node has gone, or after a start. */
const patienceMilliseconds = 300_000;
const advice = "`docker version` shows whether `docker` on PATH is Docker's own command.";

/** The services of a Swarm that carry the stack's label. None where the engine manages no Swarm. */
export async function stackSwarmServices(stack: string): Promise<SwarmServiceDetails[]> {
    const filter = `label=${stackLabel}=${stack}`;
    const listed = await run("docker", ["service", "ls", "--quiet", "--filter", filter]);
    const ids = listed.exitCode === 0 ? lines(listed.stdout) : [];
    if (ids.length === 0) {
        return [];
    }
    // One that is removed meanwhile is left out.
    const { stdout } = await run("docker", ["service", "inspect", ...ids]);
    return parseDocument("What `docker service inspect` says", servicesSchema, stdout, advice);
}

/** The service's name in the catalogue. */
export function swarmServiceName({ Spec }: SwarmServiceDetails): string {
    return printableLine(Spec.Labels[serviceLabel] ?? Spec.Name);
}

/** How many containers it is to have. */
export function replicasOf({ Spec }: SwarmServiceDetails): number {
    return Spec.Mode.Replicated?.Replicas ?? 0;
}

/** The tasks of a service that are to run, those that do not first. */
export async function tasksOf(service: string): Promise<SwarmTask[]> {
    const args = ["--no-trunc", "--filter", "desired-state=running", "--format", "{{json .}}", service];
    const { stdout } = await run("docker", ["service", "ps", ...args]);
    return lines(stdout)
        .map((line) => parseDocument("What `docker service ps` says", taskSchema, line, advice))
        .sort((one, other) => Number(isRunning(one)) - Number(isRunning(other)));
}

/** Whether its container runs, and is healthy: Swarm counts none as running before. */
export function isRunning({ CurrentState }: SwarmTask): boolean {
    return CurrentState.startsWith("Running");
}

/** What the containers on a node, of whatever service, have to themselves. */
export async function reservedOn({ ID }: SwarmNode): Promise<Share[]> {
    const args = ["--no-trunc", "--filter", "desired-state=running", "--format", "{{.ID}}", ID];
    const ids = lines(await docker("node", "ps", ...args));
    if (ids.length === 0) {
        return [];
    }
    // One that ends meanwhile is left out.
    const { stdout } = await run("docker", ["inspect", "--type", "task", ...ids]);
    const tasks = parseDocument("What `docker inspect` says of tasks", taskDetails, stdout, advice);
    return tasks.flatMap(({ Spec }) => Spec.Resources?.Reservations ?? []);
}

/** Every node of the Swarm that this engine manages. */
export async function swarmNodes(): Promise<SwarmNode[]> {
    const ids = lines(await docker("node", "ls", "--quiet"));
    const text = await docker("node", "inspect", ...ids);
    return parseDocument("What `docker node inspect` says", nodesSchema, text, advice);
}

/**
 * Waits until every container of the stack's services in the Swarm runs.
 *
 * @throws UserError naming the service and what Docker says of a container that does not run; Interrupted at Ctrl-C.
 */
export async function ensureServicesRun(session: Session): Promise<void> {
    const started = Date.now();
    for (const service of await stackSwarmServices(session.stack)) {
        for (;;) {
            const tasks = await tasksOf(service.ID);
            const running = tasks.filter(isRunning).length;
            const wanted = replicasOf(service);
            if (running >= wanted) {
                break;
            }
            if (Date.now() - started > patienceMilliseconds) {
                throw new UserError(describeIll(session, service, running, tasks));
            }
            await sleep(pollMilliseconds, undefined, { signal: session.signal }).catch(() => {
                throw new Interrupted();
            });
        }
    }
}

function describeIll(
    session: Session,
    service: SwarmServiceDetails,
    running: number,
    tasks: readonly SwarmTask[],
): string {
    const name = swarmServiceName(service);
    const why = tasks.map((task) => printableLine(task.Error)).find((text) => text !== "");
    return `${running} of ${replicasOf(service)} containers of ${name} run${why ? `: ${why}` : ""}. Type: ./carbon logs ${name}${session.stackFlag()}`;
}

/** Sets how many containers a service has, and waits for none of them. */
export async function scale(service: SwarmServiceDetails, replicas: number): Promise<void> {
    await docker("service", "scale", "--detach", `${service.Spec.Name}=${replicas}`);
}

/** Ids and names of the secrets of a Swarm that carry the stack's label. None where the engine manages no Swarm. */
export async function stackSecrets(stack: string): Promise<{ id: string; name: string }[]> {
    const filter = `label=${stackLabel}=${stack}`;
    const args = ["secret", "ls", "--format", "{{.ID}}\t{{.Name}}", "--filter", filter];
    const { exitCode, stdout } = await run("docker", args);
    return (exitCode === 0 ? lines(stdout) : []).map((line) => {
        const [id = "", name = ""] = line.split("\t");
        return { id, name };
    });
}

/** Removes services of a Swarm with the stack's label, and their secrets. @returns their names. */
export async function removeSwarmLeftovers(stack: string): Promise<string[]> {
    const services = (await stackSwarmServices(stack)).map(({ Spec }) => Spec.Name);
    if (services.length > 0) {
        await docker("service", "rm", ...services);
    }
    const secrets = (await stackSecrets(stack)).map(({ name }) => name);
    if (secrets.length > 0) {
        await docker("secret", "rm", ...secrets);
    }
    return [...services, ...secrets];
}
