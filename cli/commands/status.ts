import type { Command } from "commander";
import pc from "picocolors";
import { catalogueName, everyService } from "../../catalogue";
import { action, type Handler } from "../action";
import { type ContainerDetails, nameOf, serviceLabel, stackContainers } from "../docker";
import { exitCodes } from "../errors";
import { formatDuration } from "../output";
import { lastUpdate } from "../project";
import type { Session } from "../session";
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
    /** When it got into this state (ISO 8601). */
    since?: string;
    ok: boolean;
}

/** `carbon status`. */
export function addStatus(program: Command): void {
    program
        .command("status")
        .description("show each service: state, health, ports, since when; exit code 0 when all are well")
        .action(action(status));
}

const status: Handler<unknown> = async (session) => {
    const services = (await stackContainers(session.stack)).map(describe).sort(byCatalogue);
    const missing = services.length > 0 ? missingServices(session, services) : [];
    const healthy = services.length > 0 && services.every(({ ok }) => ok) && missing.length === 0;
    const updated = lastUpdate(session.project, session.stack);
    const text =
        services.length === 0
            ? session.notDeployed()
            : [
                  statusTable(services, Date.now(), session.width),
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
        missing,
    });
    return healthy ? 0 : exitCodes.failure;
};

function describe(container: ContainerDetails): ServiceStatus {
    const { State, NetworkSettings, Config } = container;
    const running = State.Status === "running";
    const ports = Object.values(NetworkSettings.Ports).flatMap((bindings) => bindings ?? []);
    const health = State.Health?.Status;
    return {
        service: Config.Labels[serviceLabel] ?? "",
        container: nameOf(container),
        state: State.Status,
        health: running ? health : undefined,
        ports: [...new Set(ports.map(({ HostPort }) => Number(HostPort)))].sort((one, other) => one - other),
        since: running ? State.StartedAt : State.FinishedAt,
        ok: running && (health === undefined || health === "healthy"),
    };
}

function byCatalogue(one: ServiceStatus, other: ServiceStatus): number {
    const names = everyService.map(({ name }) => name);
    const rank = ({ service }: ServiceStatus) => names.indexOf(catalogueName(service));
    return rank(one) - rank(other) || one.service.localeCompare(other.service, "en", { numeric: true });
}

/** Services that the settings ask for and that have no container. */
function missingServices(session: Session, present: ServiceStatus[]): string[] {
    const wanted = ["workspace", ...session.settings().services.map(({ name }) => name)];
    return wanted.filter((name) => !present.some(({ service }) => service === name));
}

/** The services as a table. */
export function statusTable(services: ServiceStatus[], now: number, width?: number): string {
    const rows = services.map(({ service, container, state, health, ports, since, ok }) => [
        service,
        container,
        { text: state, colour: ok ? pc.green : pc.red },
        { text: health ?? "-", colour: ok ? pc.green : pc.red },
        since ? formatAge(since, now) : "-",
        ports.join(", ") || "-",
    ]);
    return renderTable(["Service", "Container", "State", "Health", "Since", "Ports"], rows, width);
}

/** `5 min`, `3 h`, `2 d`: the largest unit is enough. */
function formatAge(since: string, now: number): string {
    const minutes = (now - Date.parse(since)) / 60_000;
    if (!Number.isFinite(minutes)) {
        return "-";
    }
    if (minutes < 2) {
        return formatDuration(minutes * 60_000);
    }
    if (minutes < 120) {
        return `${Math.floor(minutes)} min`;
    }
    return minutes < 48 * 60 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 60 / 24)} d`;
}
