import type Docker from "dockerode";
import { EngineError } from "../engine-error";
import { isObject, mapProps, type Props, type Value } from "../values";
import { fields, labelMap, objects, type Shape, text, texts, withDefaults } from "./driver";

const MIB = 1024 * 1024;
const NANO = 1_000_000_000;

/** The inputs of docker:index/container:Container that the engine handles. */
export const CONTAINER_SHAPE: Shape = {
    ...fields(
        "name image command user hostname envs init restart networkMode securityOpts logDriver logOpts gpus",
    ),
    ...fields(
        "memory memorySwap cpus shmSize stopSignal stopTimeout destroyGraceSeconds mustRun wait waitTimeout",
    ),
    uploads: [fields("file content permissions")],
    labels: [fields("label value")],
    networksAdvanced: [fields("name aliases")],
    ports: [fields("internal external ip protocol")],
    volumes: [fields("volumeName hostPath containerPath readOnly")],
    hosts: [fields("host ip")],
    devices: [fields("hostPath containerPath permissions")],
    healthcheck: fields("tests interval timeout retries startPeriod startInterval"),
    capabilities: fields("adds drops"),
};

const DEFAULTS: Props = {
    containerReadRefreshTimeoutMilliseconds: 15_000,
    mustRun: true,
    networkMode: "bridge",
    removeVolumes: true,
    restart: "no",
    start: true,
    waitTimeout: 60,
};
/** Defaults inside a property, or inside each of its items. */
const INNER_DEFAULTS: Record<string, Props> = {
    capabilities: {},
    devices: { permissions: "rwm" },
    healthcheck: { interval: "0s", startInterval: "0s", startPeriod: "0s", timeout: "0s" },
    hosts: {},
    labels: {},
    networksAdvanced: {},
    ports: { ip: "0.0.0.0", protocol: "tcp" },
    uploads: {},
    volumes: {},
};

/** Fills in the defaults of the Terraform schema that the real provider's Check records. */
export function containerDefaults(inputs: Props): Props {
    return mapProps(withDefaults(inputs, DEFAULTS), (value, key) => {
        const defaults = INNER_DEFAULTS[key];
        const fill = (item: Value) => (defaults && isObject(item) ? withDefaults(item, defaults) : item);
        return Array.isArray(value) ? value.map(fill) : fill(value);
    });
}

/** The body of the Docker API's "create a container", made as the Terraform provider makes it. */
export function containerSpec(inputs: Props): Docker.ContainerCreateOptions {
    return withoutEmpty({
        name: String(inputs.name),
        Image: String(inputs.image),
        Hostname: text(inputs, "hostname"),
        Cmd: texts(inputs, "command"),
        Env: texts(inputs, "envs"),
        User: text(inputs, "user"),
        StopSignal: text(inputs, "stopSignal"),
        StopTimeout: inputs.stopTimeout as number | undefined,
        Labels: labelMap(inputs),
        ExposedPorts: Object.fromEntries(objects(inputs, "ports").map((port) => [portKey(port), {}])),
        Volumes: Object.fromEntries(objects(inputs, "volumes").map((v) => [v.containerPath, {}])),
        Healthcheck: healthcheck(inputs.healthcheck as Props | undefined),
        HostConfig: hostConfig(inputs),
    });
}

function hostConfig(inputs: Props): Docker.HostConfig {
    const capabilities = (inputs.capabilities ?? {}) as Props;
    return withoutEmpty({
        RestartPolicy: { Name: text(inputs, "restart") ?? "no" },
        NetworkMode: text(inputs, "networkMode"),
        Init: inputs.init === true,
        Binds: objects(inputs, "volumes").flatMap(bind),
        PortBindings: portBindings(objects(inputs, "ports")),
        ExtraHosts: objects(inputs, "hosts").map(({ host, ip }) => `${host}:${ip}`),
        ShmSize: mebibytes(inputs.shmSize),
        NanoCpus: inputs.cpus === undefined ? undefined : Math.round(Number(inputs.cpus) * NANO),
        CapAdd: texts(capabilities, "adds"),
        CapDrop: texts(capabilities, "drops"),
        SecurityOpt: texts(inputs, "securityOpts"),
        LogConfig: logConfig(inputs),
        Devices: objects(inputs, "devices").map(deviceMapping),
        DeviceRequests: inputs.gpus === undefined ? undefined : [deviceRequest(String(inputs.gpus))],
        ...memoryLimits(inputs),
    });
}

/** A folder stands for the devices in it: Docker looks them up when the container starts. */
function deviceMapping({ hostPath, containerPath, permissions }: Props): Docker.DeviceMapping {
    return {
        PathOnHost: String(hostPath),
        PathInContainer: String(containerPath || hostPath),
        CgroupPermissions: String(permissions),
    };
}

/**
 * What Docker's command line makes of `--gpus all` and `--gpus device=ID` (docker/cli, opts/gpus.go), with which the
 * provider reads the input. It reads no list of devices: after a comma it takes a number for a count.
 *
 * @throws EngineError for anything else.
 */
export function deviceRequest(gpus: string): Docker.DeviceRequest {
    const [, device] = /^(?:all|device=([^,="'\s]+))$/.exec(gpus) ?? [gpus, ""];
    if (device === "") {
        throw new EngineError(
            `The embedded engine does not support "${gpus}" as the input "gpus" of a container: it takes all, or ` +
                "device= and one id.",
        );
    }
    return {
        Driver: "",
        Count: device === undefined ? -1 : 0,
        ...(device !== undefined && { DeviceIDs: [device] }),
        Capabilities: [["gpu"]],
        Options: {},
    };
}

/** Without what is absent, and without empty lists and maps, which Docker takes for settings. */
function withoutEmpty<T extends object>(settings: T): T {
    const isGiven = ([, value]: [string, unknown]) =>
        typeof value === "object" && value !== null ? Object.keys(value).length > 0 : value !== undefined;
    return Object.fromEntries(Object.entries(settings).filter(isGiven)) as T;
}

/** A missing driver is the daemon's own. */
function logConfig({ logDriver, logOpts }: Props): Docker.HostConfig["LogConfig"] | undefined {
    const options = Object.entries((logOpts ?? {}) as Props).map(([key, value]) => [key, String(value)]);
    const isGiven = logDriver || options.length > 0;
    return isGiven ? { Type: String(logDriver ?? ""), Config: Object.fromEntries(options) } : undefined;
}

/** `Memory` and `MemorySwap` in bytes; a swap of -1 means no limit and stays as it is. */
export function memoryLimits(inputs: Props): { Memory?: number; MemorySwap?: number } {
    const swap = inputs.memorySwap;
    return withoutEmpty({
        Memory: mebibytes(inputs.memory),
        MemorySwap: typeof swap === "number" && swap < 0 ? swap : mebibytes(swap),
    });
}

function mebibytes(value: unknown): number | undefined {
    return typeof value === "number" && value > 0 ? value * MIB : undefined;
}

/** `8080/tcp`. */
export function portKey(port: Props): string {
    return `${port.internal}/${port.protocol}`;
}

function portBindings(ports: Props[]): Docker.PortMap {
    const bindings: Docker.PortMap = {};
    for (const port of ports) {
        const binding = {
            HostIp: String(port.ip),
            HostPort: port.external === undefined ? "" : String(port.external),
        };
        bindings[portKey(port)] = [...(bindings[portKey(port)] ?? []), binding];
    }
    return bindings;
}

/** A volume that has no source is an anonymous one. */
function bind({ hostPath, volumeName, containerPath, readOnly }: Props): string[] {
    const source = hostPath || volumeName;
    return source ? [`${source}:${containerPath}:${readOnly === true ? "ro" : "rw"}`] : [];
}

function healthcheck(check: Props | undefined): Docker.HealthConfig | undefined {
    return (
        check && {
            Test: texts(check, "tests"),
            Interval: nanoseconds(check.interval),
            Timeout: nanoseconds(check.timeout),
            StartPeriod: nanoseconds(check.startPeriod),
            StartInterval: nanoseconds(check.startInterval),
            Retries: Number(check.retries ?? 0),
        }
    );
}

const UNITS: Record<string, number> = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };

/** A Go duration such as `1m30s` in nanoseconds. */
export function nanoseconds(duration: unknown): number {
    const parts = [...String(duration ?? "0s").matchAll(/([\d.]+)(ns|us|µs|ms|s|m|h)/g)];
    return Math.round(
        parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * (UNITS[unit ?? "s"] ?? 0), 0),
    );
}
