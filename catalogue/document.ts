import { type Choice, catalogueName, everyService, isIncluded, type ServiceSpec, workspace } from ".";
import { type AppPort, portsInUse } from "./chosen";
import type { GpuRoute } from "./gpu";
import { containerName } from "./names";
import { accessTo, fillIn } from "./urls";

/** Where the containers of the suite's own images find the document. */
export const documentPath = "/run/carbon/services.json";

/** What a container is told of the stack: the entry point, clients' wrappers, health checks and the check read it. */
export interface ServicesDocument {
    schema: 1;
    stack: string;
    tls: boolean;
    /** Names and addresses of the host, besides localhost, that certificates hold. */
    tlsNames: readonly string[];
    /** By name in the catalogue: `spark-worker` stands for all of its containers. */
    services: Record<string, ServiceEntry>;
    /** How it reaches a GPU, where it does. */
    gpu?: GpuEntry;
    /** The workspace's: where connections from the host arrive for programs of the user's. */
    appPorts?: readonly AppPort[];
    /** The workspace's: pages on the host that JupyterLab's launcher has a card for. */
    cards?: readonly Card[];
}

/** A route to a GPU, as programs in a container see it. */
export interface GpuEntry {
    route: GpuRoute;
    /** Of the host's kernels: where their gateway answers, and who asks. */
    url?: string;
    stack?: string;
}

/** A page of the stack's that a browser opens on the host. */
export interface Card {
    /** Name of its port in the catalogue. */
    name: string;
    title: string;
    /** The browser knows the `{host}`; `{secret}` is there where the page logs in by itself. */
    url: string;
    /** File name of that secret. */
    secret?: string;
}

/** A service as others in the stack see it. */
export interface ServiceEntry {
    containers: string[];
    /** Name on the network, of the first container where there are several; a loopback address for the workspace. */
    host: string;
    /** Toolset of the image that holds it. */
    toolset?: string;
    /** The service that must be up first. */
    needs?: string;
    /** True where it speaks TLS in this stack. */
    tls: boolean;
    /** Ports inside the container, by port name. */
    ports: Record<string, number>;
    /** Fields of the login besides the password, by file in /run/carbon/secrets. */
    secrets: Record<string, Record<string, string>>;
}

/**
 * The document for one container.
 *
 * @param services Those that it is to know of, itself included, one for each container.
 */
export function servicesDocument(
    { stack, tlsNames, ...choice }: Choice & { stack: string; tlsNames: readonly string[] },
    services: readonly ServiceSpec[],
): ServicesDocument {
    const names = [...new Set(services.map(({ name }) => catalogueName(name)))];
    const entries = everyService
        .filter(({ name }) => names.includes(name))
        .map((service) => {
            const instances = services.filter(({ name }) => catalogueName(name) === service.name);
            return [service.name, entry(service, instances, stack, choice)];
        });
    return { schema: 1, stack, tls: choice.tls, tlsNames, services: Object.fromEntries(entries) };
}

/**
 * The pages of these services that have a card.
 *
 * @param ports Host port by port name.
 */
export function launcherCards(
    services: readonly ServiceSpec[],
    choice: Choice,
    ports: Record<string, number>,
): Card[] {
    return portsInUse({ ...choice, services }).flatMap((port) => {
        if (!port.card) {
            return [];
        }
        const { url, loginUrl: login, secret } = accessTo(port, choice.tls);
        const page = fillIn(url, "{host}", Number(ports[port.name]));
        return {
            name: port.name,
            title: port.card,
            ...(login ? { url: page.replace(/\/$/, login), secret } : { url: page }),
        };
    });
}

function entry(
    service: ServiceSpec,
    instances: readonly ServiceSpec[],
    stack: string,
    choice: Choice,
): ServiceEntry {
    const ports = service.ports.filter((port) => isIncluded(port, choice));
    const secrets = service.secrets.filter((secret) => isIncluded(secret, choice));
    const [first = service] = instances;
    return {
        containers: instances.map(({ name }) => containerName(stack, name)),
        host: service.name === workspace.name ? "127.0.0.1" : first.name,
        ...(service.toolset && { toolset: service.toolset }),
        ...(service.needs && { needs: service.needs }),
        tls: choice.tls && !service.loopbackOnly,
        ports: Object.fromEntries(ports.map(({ name, port }) => [name, port])),
        secrets: Object.fromEntries(secrets.map(({ name, login }) => [name, login ?? {}])),
    };
}
