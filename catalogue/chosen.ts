import {
    type Choice,
    isIncluded,
    type PortSpec,
    type ReferredSettings,
    type ServiceSpec,
    serviceCatalogue,
    workspace,
} from ".";

/** The setting that says how many containers a service has, by its key. */
type Counts = Record<NonNullable<ServiceSpec["count"]>, number>;

/** The services that run, one for each container: `spark-worker` is `spark-worker-1`, `spark-worker-2`, … here. */
export function chosenServices(names: readonly string[], counts: Counts): ServiceSpec[] {
    return serviceCatalogue
        .filter(({ name }) => names.includes(name))
        .flatMap((service) => (service.count ? several(service, counts[service.count]) : [service]));
}

/** Only the first publishes its ports, as each can be held only once. */
function several(service: ServiceSpec, count: number): ServiceSpec[] {
    return Array.from({ length: count }, (_, index) => ({
        ...service,
        name: `${service.name}-${index + 1}`,
        ports: index === 0 ? service.ports : [],
    }));
}

/** The ports that the workspace and the chosen services publish. */
export function portsInUse({
    services,
    ...choice
}: Choice & { services: readonly ServiceSpec[] }): PortSpec[] {
    return [workspace, ...services]
        .flatMap((service) => service.ports)
        .filter((port) => isIncluded(port, choice));
}

/** The services that the settings place on the user's machine. */
export function servicesOnMachine(
    settings: Pick<ReferredSettings, NonNullable<ServiceSpec["place"]>>,
): ServiceSpec[] {
    return serviceCatalogue.filter(({ place }) => place && settings[place] === "host");
}

/** Memory limit of a service in MiB. */
export function memoryLimit(
    { name, memory }: Pick<ServiceSpec, "name" | "memory">,
    limits: Pick<ReferredSettings, Extract<ServiceSpec["memory"], string> | "serviceMemory">,
): number {
    return typeof memory === "number" ? (limits.serviceMemory[name] ?? memory) : limits[memory];
}

/** A port on which a program of the user's in the workspace is reached from the host. */
export interface AppPort {
    /** As the settings have it. */
    port: number;
    /** On the host, and on the loopback address of the workspace. */
    published: number;
    /** In the workspace, where connections from the host arrive. */
    forward: number;
}

/** The user's ports; those that they are handed on from are numbered from 61000, above what Linux gives to clients. */
export function appPorts(ports: readonly number[], offset: number): AppPort[] {
    return ports.map((port, index) => ({ port, published: port + offset, forward: 61000 + index }));
}
