import { isObject, type Props, type Value } from "../values";
import { nanoseconds } from "./container-spec";
import { fields, labelMap, objects, type Shape, text, texts } from "./driver";

/** The inputs of docker:index/service:Service that the engine handles. */
export const SERVICE_SHAPE: Shape = {
    name: true,
    labels: [fields("label value")],
    mode: { replicated: fields("replicas") },
    endpointSpec: fields("mode"),
    updateConfig: fields("parallelism delay failureAction monitor maxFailureRatio order"),
    convergeConfig: fields("delay timeout"),
    taskSpec: {
        containerSpec: {
            ...fields("image args hostname env stopGracePeriod capAdds capDrops isolation"),
            mounts: [fields("type source target readOnly")],
            secrets: [fields("secretId secretName fileName fileUid fileGid fileMode")],
            healthcheck: fields("tests interval timeout startPeriod retries"),
        },
        resources: {
            limits: fields("nanoCpus memoryBytes"),
            reservation: fields("nanoCpus memoryBytes"),
        },
        restartPolicy: fields("condition delay"),
        placement: fields("constraints"),
        networksAdvanceds: [fields("id")],
        logDriver: fields("name options"),
    },
};

/** The parts of a service that Docker's API describes, and the engine knows. */
export interface ServiceSpec {
    Name?: string;
    Labels?: Record<string, string> | null;
    Mode?: { Replicated?: { Replicas?: number } };
    EndpointSpec?: { Mode?: string };
    UpdateConfig?: {
        Parallelism?: number;
        Delay?: number;
        FailureAction?: string;
        Monitor?: number;
        MaxFailureRatio?: number;
        Order?: string;
    };
    TaskTemplate?: TaskSpec;
}

interface TaskSpec {
    ContainerSpec?: {
        Image?: string;
        Args?: string[];
        Hostname?: string;
        Env?: string[];
        StopGracePeriod?: number;
        CapabilityAdd?: string[];
        CapabilityDrop?: string[];
        Isolation?: string;
        Mounts?: { Type?: string; Source?: string; Target?: string; ReadOnly?: boolean }[];
        Secrets?: {
            SecretID?: string;
            SecretName?: string;
            File?: { Name?: string; UID?: string; GID?: string; Mode?: number };
        }[];
        Healthcheck?: {
            Test?: string[];
            Interval?: number;
            Timeout?: number;
            StartPeriod?: number;
            Retries?: number;
        };
    };
    Resources?: { Limits?: Resources; Reservations?: Resources };
    RestartPolicy?: { Condition?: string; Delay?: number };
    Placement?: { Constraints?: string[] };
    Networks?: { Target?: string }[];
    LogDriver?: { Name?: string; Options?: Record<string, string> };
    ForceUpdate?: number;
}

interface Resources {
    NanoCPUs?: number;
    MemoryBytes?: number;
}

/** The body of the Docker API's "create a service". */
export function serviceSpec(inputs: Props): ServiceSpec {
    const [mode, endpoint, update] = ["mode", "endpointSpec", "updateConfig"].map((key) =>
        object(inputs[key]),
    );
    const replicas = object(mode?.replicated).replicas;
    return {
        Name: String(inputs.name),
        Labels: labelMap(inputs),
        Mode: { Replicated: { Replicas: Number(replicas ?? 1) } },
        EndpointSpec: { Mode: text(endpoint ?? {}, "mode") },
        UpdateConfig: {
            Parallelism: number(update?.parallelism),
            Delay: duration(update?.delay),
            FailureAction: text(update ?? {}, "failureAction"),
            Monitor: duration(update?.monitor),
            MaxFailureRatio: number(update?.maxFailureRatio),
            Order: text(update ?? {}, "order"),
        },
        TaskTemplate: taskSpec(object(inputs.taskSpec)),
    };
}

function taskSpec(task: Props): TaskSpec {
    const [container, resources, restart, placement, log] = [
        "containerSpec",
        "resources",
        "restartPolicy",
        "placement",
        "logDriver",
    ].map((key) => object(task[key])) as [Props, Props, Props, Props, Props];
    return {
        ContainerSpec: containerSpec(container),
        Resources: {
            Limits: resourcesOf(object(resources.limits)),
            Reservations: resourcesOf(object(resources.reservation)),
        },
        RestartPolicy: { Condition: text(restart, "condition"), Delay: duration(restart.delay) },
        Placement: { Constraints: texts(placement, "constraints") },
        Networks: objects(task, "networksAdvanceds").map(({ id }) => ({ Target: String(id) })),
        LogDriver: {
            Name: text(log, "name"),
            Options: Object.fromEntries(Object.entries(object(log.options)).map(([k, v]) => [k, String(v)])),
        },
    };
}

function containerSpec(container: Props): TaskSpec["ContainerSpec"] {
    const health = object(container.healthcheck);
    return {
        Image: String(container.image),
        Args: texts(container, "args"),
        Hostname: text(container, "hostname"),
        Env: Object.entries(object(container.env)).map(([key, value]) => `${key}=${value}`),
        StopGracePeriod: duration(container.stopGracePeriod),
        CapabilityAdd: texts(container, "capAdds"),
        CapabilityDrop: texts(container, "capDrops"),
        Isolation: text(container, "isolation"),
        Mounts: objects(container, "mounts").map(({ type, source, target, readOnly }) => ({
            Type: String(type),
            Source: String(source),
            Target: String(target),
            ReadOnly: readOnly === true,
        })),
        Secrets: objects(container, "secrets").map((secret) => ({
            SecretID: String(secret.secretId),
            SecretName: String(secret.secretName),
            File: {
                Name: String(secret.fileName),
                UID: text(secret, "fileUid") ?? "0",
                GID: text(secret, "fileGid") ?? "0",
                Mode: Number(secret.fileMode ?? 0o444),
            },
        })),
        Healthcheck: {
            Test: texts(health, "tests"),
            Interval: duration(health.interval),
            Timeout: duration(health.timeout),
            StartPeriod: duration(health.startPeriod),
            Retries: number(health.retries),
        },
    };
}

function resourcesOf(wanted: Props): Resources {
    return { NanoCPUs: number(wanted.nanoCpus), MemoryBytes: number(wanted.memoryBytes) };
}

function object(value: Value | undefined): Props {
    return isObject(value) ? value : {};
}

function number(value: Value | undefined): number | undefined {
    return value === undefined || value === null ? undefined : Number(value);
}

function duration(value: Value | undefined): number | undefined {
    return value === undefined || value === null ? undefined : nanoseconds(value);
}

/**
 * What can be compared of a service, in words of the inputs: a path by path, and only of what the engine sets. What Docker
 * leaves out is as good as empty, and lists without an order are in one.
 */
export function comparableSpec(spec: ServiceSpec): Props {
    const { TaskTemplate: task = {}, UpdateConfig: update = {} } = spec;
    const { ContainerSpec: container = {}, Resources: resources = {} } = task;
    return withoutEmpty({
        name: spec.Name,
        labels: spec.Labels,
        mode: { replicas: spec.Mode?.Replicated?.Replicas },
        endpointSpec: { mode: spec.EndpointSpec?.Mode },
        updateConfig: {
            parallelism: update.Parallelism,
            delay: update.Delay,
            failureAction: update.FailureAction,
            monitor: update.Monitor,
            maxFailureRatio: update.MaxFailureRatio,
            order: update.Order,
        },
        taskSpec: {
            containerSpec: {
                image: container.Image,
                args: container.Args,
                hostname: container.Hostname,
                env: sorted(container.Env),
                stopGracePeriod: container.StopGracePeriod,
                capAdds: sorted(container.CapabilityAdd),
                capDrops: sorted(container.CapabilityDrop),
                mounts: sorted(
                    container.Mounts?.map((m) =>
                        [m.Type, m.Source, m.Target, m.ReadOnly ? "ro" : "rw"].join(" "),
                    ),
                ),
                secrets: sorted(
                    container.Secrets?.map(({ SecretID, File }) =>
                        [SecretID, File?.Name, File?.UID, File?.GID, File?.Mode].join(" "),
                    ),
                ),
                healthcheck: {
                    tests: container.Healthcheck?.Test,
                    interval: container.Healthcheck?.Interval,
                    timeout: container.Healthcheck?.Timeout,
                    startPeriod: container.Healthcheck?.StartPeriod,
                    retries: container.Healthcheck?.Retries,
                },
            },
            resources: {
                limits: { nanoCpus: resources.Limits?.NanoCPUs, memoryBytes: resources.Limits?.MemoryBytes },
                reservation: {
                    nanoCpus: resources.Reservations?.NanoCPUs,
                    memoryBytes: resources.Reservations?.MemoryBytes,
                },
            },
            restartPolicy: { condition: task.RestartPolicy?.Condition, delay: task.RestartPolicy?.Delay },
            placement: { constraints: sorted(task.Placement?.Constraints) },
            networksAdvanceds: sorted(task.Networks?.map(({ Target }) => String(Target))),
            logDriver: { name: task.LogDriver?.Name, options: task.LogDriver?.Options },
        },
    });
}

function sorted(list: string[] | undefined): string[] | undefined {
    return list && [...list].sort();
}

/** Nothing, nought and empty are one to Docker. */
function withoutEmpty(value: object): Props {
    return Object.fromEntries(
        Object.entries(value).flatMap(([key, inner]) => {
            const kept = isObject(inner) ? withoutEmpty(inner) : inner;
            const isEmpty =
                kept === undefined ||
                kept === null ||
                kept === 0 ||
                kept === "" ||
                (typeof kept === "object" && Object.keys(kept).length === 0);
            return isEmpty ? [] : [[key, kept]];
        }),
    ) as Props;
}
