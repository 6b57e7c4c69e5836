import type { Command } from "commander";
import pc from "picocolors";
import { catalogueName, everyService } from "../../catalogue";
import { networkName } from "../../catalogue/names";
import { action, type Handler } from "../action";
import { whyRestoring } from "../backup/journal";
import { type ContainerDetails, nameOf, serviceLabel, stackContainers, stackLabel } from "../docker";
import { exitCodes, messageOf } from "../errors";
import { isWell, lastError } from "../health";
import { serviceNames, stoppedOf } from "../lifecycle";
import { type Memory, memorySetting, readMemory } from "../memory";
import { formatAge, plural } from "../output";
import { printableLine } from "../printable";
import type { Session } from "../session";
import { lastUpdate } from "../stackState";
import { type ClusterStatus, clusterStatus, describeCluster, isClusterWell } from "../swarm/status";
import { renderTable } from "../tables";

/** One row of the table, and one entry of the document. */
export interface ServiceStatus {
    service: string;
    container: string;
    state: string;
    /** `healthy`, `unhealthy`, `starting`; absent where the container has no health check. */
    health?: string;
    /** Host ports. */
    ports: number[];
    /** Absent where it does not run. */
    memory?: Memory;
    /** True where Linux has ended it, or a program in it, for want of memory. */
    outOfMemory: boolean;
    /** How often Docker has started it again after it ended by itself. */
    restarts: number;
    /** What its last failing health check said, or how it ended, on one line; absent where nothing is known. */
    lastError?: string;
    /** When it got into this state (ISO 8601). */
    since?: string;
    ok: boolean;
}

/** `carbon status`. */
export function addStatus(program: Command): void {
    program
        .command("status")
        .description(
            "show each service: state, health, memory, ports, since when; exit code 0 when all are well",
        )
        .action(action(status));
}

const status: Handler<unknown> = async (session) => {
    const containers = await stackContainers(session.stack);
    const memories = await Promise.all(containers.map(readMemory));
    const services = containers
        .map((container, index) => describe(container, memories[index]))
        .sort(byCatalogue);
    const stopped = serviceNames(stoppedOf(containers));
    const cluster = await clusterStatus(session.stack);
    const missing = services.length > 0 ? missingServices(session, services, cluster) : [];
    const healthy =
        services.length > 0 &&
        services.every(({ ok }) => ok) &&
        missing.length === 0 &&
        isClusterWell(cluster);
    const updated = whenUpdated(session);
    const unfinished = whyRestoring(session);
    const isOff = containers.some((container) => !joinsNetwork(container));
    const text =
        services.length === 0
            ? await session.whyNothingRuns()
            : [
                  statusTable(services, Date.now(), session.width),
                  ...(unfinished ? [`\n${pc.red(unfinished)}`] : []),
                  ...(stopped && !unfinished
                      ? [`\n${stopped}: ${pc.yellow("stopped")} (./carbon start${session.stackFlag()})`]
                      : []),
                  ...(cluster ? describeCluster(cluster, session.width) : []),
                  ...services.flatMap(describeTrouble),
                  ...(isOff
                      ? [`\n\`./carbon up${session.stackFlag()}\` joins it to its network again.`]
                      : []),
                  ...services.filter(({ outOfMemory }) => outOfMemory).map(describeKill),
                  ...missing.map(
                      (name) => `\n${pc.red(name)} is not there. Type: ./carbon up${session.stackFlag()}`,
                  ),
                  ...(updated ? [`\nLast deployed ${formatAge(updated, Date.now())} ago (${updated}).`] : []),
              ].join("\n");
    session.output.result(text, {
        stack: session.stack,
        deployed: services.length > 0,
        healthy,
        updated,
        services: services.map(({ ok: _, ...service }) => service),
        cluster,
        missing,
    });
    return healthy ? 0 : exitCodes.failure;
};

/** When the stack was last deployed, where its state says so: all else is Docker's to say, also where that file is damaged. */
function whenUpdated(session: Session): string | undefined {
    try {
        return lastUpdate(session);
    } catch (error) {
        session.output.warn(messageOf(error));
        return undefined;
    }
}

function describe(container: ContainerDetails, memory: Memory | undefined): ServiceStatus {
    const { State, NetworkSettings, Config } = container;
    const isReached = joinsNetwork(container);
    const running = State.Status === "running";
    const ports = Object.values(NetworkSettings.Ports).flatMap((bindings) => bindings ?? []);
    const health = State.Health?.Status;
    return {
        service: Config.Labels[serviceLabel] ?? "",
        container: nameOf(container),
        state: State.Status,
        health: running ? health : undefined,
        memory,
        outOfMemory: Boolean(State.OOMKilled) || (memory?.killed ?? 0) > 0,
        ports: [...new Set(ports.map(({ HostPort }) => Number(HostPort)))].sort((one, other) => one - other),
        since: running ? State.StartedAt : State.FinishedAt,
        restarts: container.RestartCount ?? 0,
        lastError: isReached
            ? lastError(container)
            : "it left the stack's network, so that nothing reaches it",
        ok: isWell(container) && isReached,
    };
}

/** A container that does not run keeps its networks, too. */
function joinsNetwork({ NetworkSettings, Config }: ContainerDetails): boolean {
    const { Networks } = NetworkSettings;
    return !Networks || networkName(Config.Labels[stackLabel] ?? "") in Networks;
}

function byCatalogue(one: ServiceStatus, other: ServiceStatus): number {
    const names = everyService.map(({ name }) => name);
    const rank = ({ service }: ServiceStatus) => names.indexOf(catalogueName(service));
    return rank(one) - rank(other) || one.service.localeCompare(other.service, "en", { numeric: true });
}

/** Services that the settings ask for and that have no container. */
function missingServices(session: Session, present: ServiceStatus[], cluster?: ClusterStatus): string[] {
    const { services, swarmServices } = session.settings();
    const wanted = ["workspace", ...[...services, ...swarmServices].map(({ name }) => name)];
    const all = [...present, ...(cluster?.services ?? [])];
    return wanted.filter((name) => !all.some(({ service }) => service === name));
}

/** The services as a table. */
export function statusTable(services: ServiceStatus[], now: number, width?: number): string {
    const rows = services.map(({ service, container, state, health, memory, ports, since, ok }) => [
        service,
        container,
        { text: state, colour: ok ? pc.green : pc.red },
        { text: health ?? "-", colour: ok ? pc.green : pc.red },
        since ? formatAge(since, now) : "-",
        memory ? describeMemory(memory) : "-",
        ports.join(", ") || "-",
    ]);
    return renderTable(["Service", "Container", "State", "Health", "Since", "Memory", "Ports"], rows, width);
}

/** In the unit of the settings. */
function describeMemory({ used, limit }: Memory): string {
    return `${mebibytes(used)}${limit ? ` of ${mebibytes(limit)}` : ""} MiB`;
}

function mebibytes(bytes: number): number {
    return Math.round(bytes / 1024 / 1024);
}

/** Lines under the table: how often it was started again, and what went wrong last. */
function describeTrouble({ service, restarts, lastError, ok }: ServiceStatus): string[] {
    const facts = [
        ...(restarts > 0 ? [`started again ${restarts === 1 ? "once" : `${restarts} times`}`] : []),
        ...(lastError ? [`last error: ${lastError}`] : []),
    ];
    const colour = ok ? pc.yellow : pc.red;
    return facts.length > 0 ? [`\n${colour(printableLine(service))}: ${facts.join("; ")}`] : [];
}

function describeKill({ service, memory }: ServiceStatus): string {
    const what = memory?.killed ? plural(memory.killed, "program") : "the service";
    const limit = memory?.limit ? `, of which it may use ${mebibytes(memory.limit)} MiB` : "";
    return `\n${pc.yellow("!")} ${printableLine(service)}: Linux has ended ${what} for want of memory${limit}. ${memorySetting(service)} raises the limit.`;
}
