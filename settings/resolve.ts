import type { ServiceSpec } from "../catalogue";
import { chosenServices, portsInUse } from "../catalogue/chosen";
import type { Platform } from "../catalogue/images";
import { tlsNames } from "../catalogue/names";
import { baseToolsets, type Toolset, toolsets } from "../catalogue/toolsets";
import { readCertificates } from "./certificates";
import { currentDockerContext } from "./dockerContext";
import { absolutePath, type Machine } from "./machine";
import type { SettingValues } from "./schema";

/** Keys that {@link Settings} has in another form, or not at all. */
type Resolved =
    | "platforms"
    | "services"
    | "serviceImages"
    | "ports"
    | "toolsets"
    | "extraCaCertificates"
    | "cpus"
    | "builder";

/** Everything that a user chose, checked and resolved. */
export interface Settings extends Omit<SettingValues, Resolved> {
    stack: string;
    platforms: Platform[];
    /** Docker context that the containers run in; `default` is the plain one. */
    dockerContext: string;
    /** Name of the buildx builder. */
    builder: string;
    /** Enabled toolsets; those of the compute image only where it is on. */
    toolsets: Toolset[];
    /** Services beside the workspace, one for each container. */
    services: ServiceSpec[];
    /** Image of each service that does not run from the suite's own. */
    serviceImages: Record<string, string>;
    /** Host port of each port name in use, with `portOffset` added. */
    ports: Record<string, number>;
    /** True when services speak TLS, because they are reachable from other machines. */
    tls: boolean;
    /** Names and addresses of this machine, besides localhost, that the certificates hold; empty without TLS. */
    tlsNames: string[];
    /** Absolute path. */
    workspaceDir: string;
    /** CPUs as Docker takes them, or undefined for no limit. */
    cpus?: string;
    /** Certificates that are not among the usual ones, as PEM text; undefined where there are none. */
    caCertificates?: string;
}

/** What the values come to on a machine. */
export function resolve(stack: string, values: SettingValues, machine: Machine): Settings {
    const { extraCaCertificates, ...asChosen } = values;
    const { bindAddress, builder, compute, cpus, ports, portOffset } = values;
    const dockerContext = currentDockerContext(machine);
    const services = chosenServices(values.services, values);
    const enabled = toolsetsOf(values);
    const tls = !isLoopback(bindAddress);
    const inUse = portsInUse({ services, compute, toolsets: enabled, tls });
    return {
        ...asChosen,
        stack,
        platforms: [...new Set(values.platforms.map((platform) => nativeResolved(platform, machine.arch)))],
        dockerContext,
        builder: builder === "auto" ? dockerContext : builder,
        toolsets: enabled,
        services,
        serviceImages: officialImages(services, values.serviceImages),
        ports: Object.fromEntries(
            inUse.map(({ name, port }) => [name, (ports[name] ?? port) + portOffset] as const),
        ),
        tls,
        tlsNames: tls ? tlsNames(bindAddress, machine.hostname?.()) : [],
        workspaceDir: absolutePath(values.workspaceDir, machine),
        // As Docker reads it back: 1.50 would be a difference for ever.
        cpus: Number(cpus) > 0 ? String(Number(cpus)) : undefined,
        caCertificates: readCertificates(extraCaCertificates, machine),
    };
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
