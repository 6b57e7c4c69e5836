import { type ServiceSpec, serviceCatalogue } from "../catalogue";
import type { SettingValues } from "./schema";

/** The services that run, one for each container: `spark-worker` is `spark-worker-1`, `spark-worker-2`, … here. */
export function chosenServices(values: SettingValues): ServiceSpec[] {
    return serviceCatalogue
        .filter(({ name }) => values.services.includes(name))
        .flatMap((service) => (service.count ? several(service, values[service.count]) : [service]));
}

/** Only the first publishes its ports, as each can be held only once. */
function several(service: ServiceSpec, count: number): ServiceSpec[] {
    return Array.from({ length: count }, (_, index) => ({
        ...service,
        name: `${service.name}-${index + 1}`,
        ports: index === 0 ? service.ports : [],
    }));
}

/** Memory limit of a service in MiB. */
export function memoryLimit(
    { memory }: Pick<ServiceSpec, "memory">,
    settings: Pick<SettingValues, "memory" | "sparkWorkerMemory">,
): number {
    return typeof memory === "number" ? memory : settings[memory];
}
