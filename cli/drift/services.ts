import { printableLine } from "../printable";
import { replicasOf, swarmServiceName } from "../swarm/services";
import type { Difference } from "./difference";
import type { Expected } from "./expected";
import type { Found } from "./found";

type ExpectedService = Expected["services"][number];
type FoundService = Found["services"][number];

const mebibyte = 1024 ** 2;

/** Where the services that a Swarm has of a stack, and their secrets, are not what they were deployed as. */
export function compareServices({ services, secrets }: Expected, found: Found): Difference[] {
    const known = [...services, ...secrets].map(({ id }) => id);
    return [
        ...services.flatMap((expected) => compareService(expected, found)),
        ...found.services
            .filter(({ ID }) => !known.includes(ID))
            .map((one) => ({
                kind: "unknown-service" as const,
                what: swarmServiceName(one),
                property: "service",
                expected: "known to this clone",
                found: `${one.Spec.Name} is not`,
                id: one.ID,
            })),
        ...found.secrets
            .filter(({ id }) => !known.includes(id))
            .map(({ id, name }) => ({
                kind: "unknown-secret" as const,
                what: `secret ${printableLine(name)}`,
                property: "secret",
                expected: "known to this clone",
                found: "is not",
                id,
            })),
    ];
}

function compareService(expected: ExpectedService, found: Found): Difference[] {
    const { id, resource, name } = expected;
    const live = found.services.find(({ ID }) => ID === id);
    if (!live) {
        const gone = { property: "existence", expected: "there", found: "gone" };
        return [{ kind: "missing-service", what: `service ${name}`, ...gone, resource }];
    }
    const what = swarmServiceName(live);
    return rowsOf(expected, live)
        .filter(([, wanted, seen]) => wanted !== seen)
        .map(([property, wanted, seen]) => ({
            ...{ kind: "service" as const, what, property, expected: wanted, found: seen, id, resource },
        }));
}

/** Property, what it should be, and what it is. */
function rowsOf(expected: ExpectedService, live: FoundService): [string, string, string][] {
    const { containerSpec, resources, placement } = expected.taskSpec;
    const { limits, reservation } = resources;
    const { ContainerSpec, Resources, Placement } = live.Spec.TaskTemplate;
    const replicas = replicasOf(live);
    const [limited, reserved] = [Resources?.Limits, Resources?.Reservations];
    return [
        ["replicas", String(expected.mode.replicated.replicas), String(replicas)],
        ["containers that run", String(replicas), String(Math.max(live.running, 0))],
        ["image", containerSpec.image, ContainerSpec?.Image ?? "none"],
        ["memory", memory(limits.memoryBytes), memory(limited?.MemoryBytes)],
        ["processors", cpus(limits.nanoCpus), cpus(limited?.NanoCPUs)],
        ["reserved memory", memory(reservation.memoryBytes), memory(reserved?.MemoryBytes)],
        ["reserved processors", cpus(reservation.nanoCpus), cpus(reserved?.NanoCPUs)],
        ["constraints", list(placement.constraints), list(Placement?.Constraints)],
    ];
}

function memory(bytes = 0): string {
    return bytes > 0 ? `${Math.floor(bytes / mebibyte)} MiB` : "no limit";
}

function cpus(billionths = 0): string {
    return billionths > 0 ? String(billionths / 1e9) : "no limit";
}

function list(constraints: readonly string[] = []): string {
    return constraints.length > 0 ? [...constraints].sort().join(", ") : "none";
}
