import * as path from "node:path";
import type { ServiceSpec } from "../catalogue";
import { type AppPort, appPorts, chosenServices, memoryLimit, portsInUse } from "../catalogue/chosen";
import { swarmServices } from "../catalogue/cluster";
import type { Platform } from "../catalogue/images";
import { directNames, machineName, tlsNames } from "../catalogue/names";
import { baseToolsets, type Toolset, toolsets } from "../catalogue/toolsets";
import { readCertificates } from "./certificates";
import { chosenEngine, dockerConfigFile } from "./dockerContext";
import { gitConfig } from "./gitConfig";
import { absolutePath, type Machine } from "./machine";
import { buildProxy, proxyVariables, reachable, readProxy } from "./proxy";
import type { SettingValues } from "./schema";
import type { Server } from "./server";
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
    | "builder"
    | "dockerContext";

/** What programs of the machine say. Nobody asks them before all else is right. */
export interface Answers {
    /** Memory limit of the workspace in MiB. */
    memory: number;
    /** Absolute path, on the server where there is one. */
    workspaceDir: string;
    platforms: Platform[];
    /** The platform of the machine that containers run on. */
    machinePlatform: Platform;
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
    /** The platform of the machine that containers run on. */
    machinePlatform: Platform;
    /** Host of the registry that images are pulled from, where Docker's configuration file may have a login for it. */
    registry?: string;
    /** Docker context that the containers run in; `default` is the plain one. */
    dockerContext: string;
    /** The engine as the Docker provider takes it. */
    dockerProvider: { host?: string; context?: string };
    /** Variables that have `docker` go where the stack lives; undefined where the user's own do. */
    dockerEnvironment?: Record<string, string>;
    /** The machine that the stack lives on, where it is reached over SSH. */
    server?: Server;
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
    /** Absolute path; on a server, whose home is not known yet, one that begins with `~` may stand for it. */
    workspaceDir: string;
    /** Absolute path of this machine. */
    syncDir: string;
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
    const {
        context,
        host,
        server,
        environment: dockerEnvironment,
    } = chosenEngine(values.dockerContext, machine);
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
        machinePlatform: nativePlatform(machine.arch),
        registry:
            values.images === "pull" || values.cluster === "swarm"
                ? registryWithLogin(values.imagePrefix, machine)
                : undefined,
        platforms: platformsOf(values.platforms, () => machine.arch),
        dockerContext: context,
        dockerProvider: host ? { host } : context === "default" ? {} : { context },
        dockerEnvironment,
        server,
        builder: builder === "auto" ? context : builder,
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
        tlsNames: tls ? tlsNames(bindAddress, server ? server.host : machine.hostname?.()) : [],
        workspaceDir: server
            ? inServersHome(values.workspaceDir)
            : absolutePath(values.workspaceDir, machine),
        syncDir: absolutePath(values.syncDir, machine),
        timezone: values.timezone === "auto" ? machineTimezone(machine) : values.timezone,
        environment: { ...values.environment, ...proxyVariables(proxy, direct) },
        buildProxy: buildProxy(proxy),
        // As Docker reads it back: 1.50 would be a difference for ever.
        cpus: Number(cpus) > 0 ? String(Number(cpus)) : undefined,
        caCertificates: readCertificates(extraCaCertificates, machine),
    };
}

/** What Docker and git say to a user's choices. */
export function ask({ memory, platforms }: SettingValues, choices: Choices, machine: Machine): Answers {
    const { server, dockerEnvironment: environment, workspaceDir } = choices;
    const others = choices.services.map((service) => memoryLimit(service, { ...choices, memory: 0 }));
    const sum = others.reduce((one, other) => one + other, 0);
    return {
        memory: memory === "auto" ? share(machine.dockerMemory?.(environment), sum) : Number(memory),
        workspaceDir: server ? onServer(workspaceDir, server, machine) : workspaceDir,
        // Another machine's processor may be another.
        platforms: server
            ? platformsOf(platforms, () => machine.dockerArch?.(environment) ?? machine.arch)
            : choices.platforms,
        machinePlatform: server
            ? nativePlatform(machine.dockerArch?.(environment) ?? machine.arch)
            : choices.machinePlatform,
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

/** @param arch Asked where a platform depends on it. */
function platformsOf(platforms: SettingValues["platforms"], arch: () => string): Platform[] {
    const resolved = platforms.map((platform) => {
        return platform === "native" ? nativePlatform(arch()) : platform;
    });
    return [...new Set(resolved)];
}

function nativePlatform(arch: string): Platform {
    return arch === "arm64" ? "linux/arm64" : "linux/amd64";
}

/** A path of a server's as users write it, with `~` for the home that relative ones lie in. */
function inServersHome(folder: string): string {
    return folder === "~" || /^~?\//.test(folder)
        ? path.posix.normalize(folder)
        : path.posix.join("~", folder);
}

/** Where the server does not answer, `~` stays: Docker, which does not answer either, would not take it. */
function onServer(folder: string, server: Server, machine: Machine): string {
    if (!folder.startsWith("~")) {
        return folder;
    }
    const home = machine.serverHome?.(server);
    return home === undefined ? folder : path.posix.join(home, folder.slice(1));
}

/** The provider fails where it is to look for a login and there is no file. */
function registryWithLogin(imagePrefix: string, machine: Machine): string | undefined {
    return machine.readFile(dockerConfigFile(machine)) === undefined ? undefined : imagePrefix.split("/")[0];
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
