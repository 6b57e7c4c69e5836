import type { ServiceSpec } from "../catalogue";
import { type AppPort, appPorts, chosenServices, memoryLimit, portsInUse } from "../catalogue/chosen";
import { swarmServices } from "../catalogue/cluster";
import type { Platform } from "../catalogue/images";
import { directNames, machineName, tlsNames } from "../catalogue/names";
import { baseToolsets, type Toolset, toolsets } from "../catalogue/toolsets";
import { readCertificates } from "./certificates";
import { currentDockerContext } from "./dockerContext";
import { gitConfig } from "./gitConfig";
import { absolutePath, type Machine } from "./machine";
import { buildProxy, proxyVariables, reachable, readProxy } from "./proxy";
import type { SettingValues } from "./schema";
import { machineTimezone } from "./timezone";

/** Keys that {@link Settings} has in another form, or not at all. */
type Resolved =
    | "platforms"
    | "services"
    | "serviceImages"
    | "ports"
    | "toolsets"
    | "extraCaCertificates"
    | "proxy"
    | "memory"
    | "subnet"
    | "appPorts"
    | "cpus"
    | "builder";

/** What programs of the machine say. Nobody asks them before all else is right. */
export interface Answers {
    /** Memory limit of the workspace in MiB. */
    memory: number;
    /** git's configuration with the user's name and e-mail address; undefined where they are not known. */
    gitConfig?: string;
}

/** Everything that a user chose, checked and resolved. */
export interface Settings extends Answers, Choices {}

/** The same without what programs have to be asked for. */
export interface Choices extends Omit<SettingValues, Resolved> {
    stack: string;
    /** Name of the user who deploys. */
    user: string;
    platforms: Platform[];
    /** Docker context that the containers run in; `default` is the plain one. */
    dockerContext: string;
    /** Name of the buildx builder. */
    builder: string;
    /** Enabled toolsets; those of the compute image only where it is on. */
    toolsets: Toolset[];
    /** Services beside the workspace on this machine, one for each container. */
    services: ServiceSpec[];
    /** Services that run on the nodes of a Swarm, each with as many containers as its setting says. */
    swarmServices: ServiceSpec[];
    /** Image of each service that does not run from the suite's own. */
    serviceImages: Record<string, string>;
    /** Host port of each port name in use, with `portOffset` added. */
    ports: Record<string, number>;
    /** True when services speak TLS, because they are reachable from other machines. */
    tls: boolean;
    /** Names and addresses of this machine, besides localhost, that the certificates hold; empty without TLS. */
    tlsNames: string[];
    /** Of the LLM server as the workspace reaches it; undefined where it is a service of the stack. */
    llmAddress?: string;
    /** Ports of the user's own programs in the workspace. */
    appPorts: AppPort[];
    /** Address range of the network; undefined where Docker chooses. */
    subnet?: string;
    /** Absolute path. */
    workspaceDir: string;
    /** Variables of the containers that run the user's code: the setting's, and those of a proxy. */
    environment: Record<string, string>;
    /** Build arguments for a proxy; nothing secret. */
    buildProxy: Record<string, string>;
    /** CPUs as Docker takes them, or undefined for no limit. */
    cpus?: string;
    /** Certificates that are not among the usual ones, as PEM text; undefined where there are none. */
    caCertificates?: string;
}

/** What the values come to on a machine. */
export function resolve(stack: string, values: SettingValues, machine: Machine): Choices {
    const { extraCaCertificates, proxy: proxySetting, ...asChosen } = values;
    const { bindAddress, builder, compute, cpus, ports, portOffset } = values;
    const dockerContext = currentDockerContext(machine);
    const inSwarm = swarmServices(values.services, values.cluster);
    const here = values.services.filter((name) => !inSwarm.some((service) => service.name === name));
    const services = chosenServices(here, values);
    const enabled = toolsetsOf(values);
    const tls = !isLoopback(bindAddress);
    const inUse = portsInUse({ services, compute, toolsets: enabled, tls });
    const subnet = values.subnet === "auto" ? undefined : values.subnet;
    const proxy = readProxy(proxySetting, machine);
    const direct = [...directNames(stack, [...services, ...inSwarm]), ...(subnet ? [subnet] : [])];
    return {
        ...asChosen,
        stack,
        user: machine.user,
        platforms: [...new Set(values.platforms.map((platform) => nativeResolved(platform, machine.arch)))],
        dockerContext,
        builder: builder === "auto" ? dockerContext : builder,
        toolsets: enabled,
        services,
        swarmServices: inSwarm,
        serviceImages: officialImages(services, { ...values.serviceImages, ...values.heldImages }),
        ports: Object.fromEntries(
            inUse.map(({ name, port }) => [name, (ports[name] ?? port) + portOffset] as const),
        ),
        llmAddress: llmAddress(values),
        appPorts: appPorts(values.appPorts, portOffset),
        subnet,
        tls,
        tlsNames: tls ? tlsNames(bindAddress, machine.hostname?.()) : [],
        workspaceDir: absolutePath(values.workspaceDir, machine),
        timezone: values.timezone === "auto" ? machineTimezone(machine) : values.timezone,
        environment: { ...values.environment, ...proxyVariables(proxy, direct) },
        buildProxy: buildProxy(proxy),
        // As Docker reads it back: 1.50 would be a difference for ever.
        cpus: Number(cpus) > 0 ? String(Number(cpus)) : undefined,
        caCertificates: readCertificates(extraCaCertificates, machine),
    };
}

/** What Docker and git say to a user's choices. */
export function ask({ memory }: SettingValues, choices: Choices, machine: Machine): Answers {
    const others = choices.services.map((service) => memoryLimit(service, { ...choices, memory: 0 }));
    const sum = others.reduce((one, other) => one + other, 0);
    return {
        memory: memory === "auto" ? share(machine.dockerMemory?.(), sum) : Number(memory),
        gitConfig: gitConfig(machine.gitIdentity?.()),
    };
}

/**
 * MiB for the workspace, of all that Docker has: most of it, or what the other containers leave. In steps, so that a few
 * MiB more or less change nothing.
 */
function share(all: number | undefined, others: number): number {
    const step = 512;
    return all ? Math.max(2048, Math.floor(Math.min(all * 0.75, all - others) / step) * step) : 6144;
}

function llmAddress({ llm, llmUrl, llmHostPort }: SettingValues): string | undefined {
    const own = `http://${machineName}:${llmHostPort}/v1`;
    return llm === "service" ? undefined : reachable(llmUrl).replace(/\/$/, "") || own;
}

function toolsetsOf({ compute, toolsets: chosen }: SettingValues): Toolset[] {
    const available: readonly Toolset[] = compute ? toolsets : baseToolsets;
    return available.filter((toolset) => chosen.includes(toolset));
}

function nativeResolved(platform: SettingValues["platforms"][number], arch: string): Platform {
    if (platform === "native") {
        return arch === "arm64" ? "linux/arm64" : "linux/amd64";
    }
    return platform;
}

function officialImages(
    services: ServiceSpec[],
    instead: Partial<Record<string, string>>,
): Record<string, string> {
    return Object.fromEntries(
        services.flatMap(({ name, image }) =>
            typeof image === "object" ? [[name, instead[name] ?? image.ref]] : [],
        ),
    );
}

function isLoopback(address: string): boolean {
    return address.startsWith("127.") || address === "::1";
}
