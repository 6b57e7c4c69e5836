import type Docker from "dockerode";
import type { Props } from "../values";
import { fields, labelMap, objects, type Shape, text, texts, withDefaults } from "./driver";

const MIB = 1024 * 1024;
const NANO = 1_000_000_000;

/** The inputs of docker:index/container:Container that the engine handles. */
export const CONTAINER_SHAPE: Shape = {
    ...fields(
        "name image command user hostname envs init restart networkMode securityOpts logDriver logOpts",
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
const HEALTH_DEFAULTS: Props = { interval: "0s", startInterval: "0s", startPeriod: "0s", timeout: "0s" };
const ITEM_DEFAULTS: Record<string, Props> = {
    hosts: {},
    labels: {},
    networksAdvanced: {},
    ports: { ip: "0.0.0.0", protocol: "tcp" },
    uploads: {},
    volumes: {},
};

/** Fills in the defaults of the Terraform schema that the real provider's Check records. */
export function containerDefaults(inputs: Props): Props {
    const filled = withDefaults(inputs, DEFAULTS);
    for (const [key, defaults] of Object.entries(ITEM_DEFAULTS)) {
        const items = inputs[key];
        if (Array.isArray(items)) {
            filled[key] = (items as Props[]).map((item) => withDefaults(item, defaults));
        }
    }
    if (inputs.healthcheck) {
        filled.healthcheck = withDefaults(inputs.healthcheck as Props, HEALTH_DEFAULTS);
    }
    if (inputs.capabilities) {
        filled.capabilities = withDefaults(inputs.capabilities as Props, {});
    }
    return filled;
}

/** The body of the Docker API's "create a container", made as the Terraform provider makes it. */
export function containerSpec(inputs: Props): Docker.ContainerCreateOptions {
    const ports = objects(inputs, "ports");
    const volumes = objects(inputs, "volumes");
    return {
        name: String(inputs.name),
        Image: String(inputs.image),
        ...given("Hostname", text(inputs, "hostname")),
        ...given("Cmd", list(inputs, "command")),
        ...given("Env", list(inputs, "envs")),
        ...given("User", text(inputs, "user")),
        ...given("StopSignal", text(inputs, "stopSignal")),
        ...given("StopTimeout", inputs.stopTimeout as number | undefined),
        Labels: labelMap(inputs),
        ...given("ExposedPorts", ports.length > 0 && Object.fromEntries(ports.map((p) => [portKey(p), {}]))),
        ...given(
            "Volumes",
            volumes.length > 0 && Object.fromEntries(volumes.map((v) => [v.containerPath, {}])),
        ),
        ...given("Healthcheck", healthcheck(inputs.healthcheck as Props | undefined)),
        HostConfig: hostConfig(inputs),
    };
}

function hostConfig(inputs: Props): Docker.HostConfig {
    const capabilities = (inputs.capabilities ?? {}) as Props;
    return {
        RestartPolicy: { Name: text(inputs, "restart") ?? "no" },
        NetworkMode: text(inputs, "networkMode"),
        Init: inputs.init === true,
        ...given("Binds", objects(inputs, "volumes").map(bind).filter(Boolean) as string[]),
        ...given("PortBindings", portBindings(objects(inputs, "ports"))),
        ...given(
            "ExtraHosts",
            objects(inputs, "hosts").map((h) => `${h.host}:${h.ip}`),
        ),
        ...given("ShmSize", mebibytes(inputs.shmSize)),
        ...given("NanoCpus", inputs.cpus === undefined ? undefined : Math.round(Number(inputs.cpus) * NANO)),
        ...given("CapAdd", list(capabilities, "adds")),
        ...given("CapDrop", list(capabilities, "drops")),
        ...given("SecurityOpt", list(inputs, "securityOpts")),
        ...given("LogConfig", logConfig(inputs)),
        ...memoryLimits(inputs),
    } as Docker.HostConfig;
}

/** A missing driver is the daemon's own. */
function logConfig({ logDriver, logOpts }: Props): Docker.HostConfig["LogConfig"] | undefined {
    const options = Object.entries((logOpts ?? {}) as Props).map(([key, value]) => [key, String(value)]);
    return logDriver || options.length > 0
        ? { Type: String(logDriver ?? ""), Config: Object.fromEntries(options) }
        : undefined;
}

/** `Memory` and `MemorySwap` in bytes; a swap of -1 means no limit and stays as it is. */
export function memoryLimits(inputs: Props): { Memory?: number; MemorySwap?: number } {
    const swap = inputs.memorySwap;
    return {
        ...given("Memory", mebibytes(inputs.memory)),
        ...given("MemorySwap", typeof swap === "number" && swap < 0 ? swap : mebibytes(swap)),
    };
}

function mebibytes(value: unknown): number | undefined {
    return typeof value === "number" && value > 0 ? value * MIB : undefined;
}

/** `{[key]: value}`, or nothing for what is absent, false or empty: Docker takes an empty list for a setting. */
function given<V>(key: string, value: V | undefined | false): { [key: string]: V } {
    const isEmpty = value === undefined || value === false || (Array.isArray(value) && value.length === 0);
    return isEmpty ? {} : { [key]: value as V };
}

function list(props: Props, key: string): string[] | undefined {
    return props[key] === undefined ? undefined : texts(props, key);
}

/** `8080/tcp`. */
export function portKey(port: Props): string {
    return `${port.internal}/${port.protocol}`;
}

function portBindings(ports: Props[]): Docker.PortMap | undefined {
    const bindings: Docker.PortMap = {};
    for (const port of ports) {
        const binding = {
            HostIp: String(port.ip),
            HostPort: port.external === undefined ? "" : String(port.external),
        };
        bindings[portKey(port)] = [...(bindings[portKey(port)] ?? []), binding];
    }
    return ports.length > 0 ? bindings : undefined;
}

function bind(volume: Props): string | undefined {
    const source = volume.hostPath || volume.volumeName;
    return source ? `${source}:${volume.containerPath}:${volume.readOnly === true ? "ro" : "rw"}` : undefined;
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
