import { X509Certificate } from "node:crypto";
import * as path from "node:path";
import { catalogueName, isIncluded, type ServiceSpec, serviceCatalogue, workspace } from "../catalogue";
import { tlsNames } from "../catalogue/names";
import { baseToolsets, computeToolsets, type Toolset, toolsetNeeds } from "../catalogue/toolsets";
import { unusualCertificates } from "./certificates";
import { currentDockerContext } from "./dockerContext";
import { type SettingKey, type SettingValues, settingDefinitions } from "./schema";
import { chosenServices } from "./services";
import { whyNotWorkspace } from "./workspaceDir";

/** A platform that images are built for. */
export type Platform = "linux/amd64" | "linux/arm64";

/** The machine as far as the settings depend on it; tests hand in one of their own. */
export interface Machine {
    env: Record<string, string | undefined>;
    /** Home folder of the user. */
    home: string;
    /** Folder of Pulumi.yaml. */
    projectDir: string;
    /** Node's name of the processor: `arm64`, `x64`, … */
    arch: string;
    /** Name that stays the same in every network; absent where there is none. */
    hostname?(): string;
    /** Contents of a text file, or undefined where there is none that can be read. */
    readFile(file: string): string | undefined;
    /** True when the path exists and is not a folder. */
    isNotFolder(file: string): boolean;
    /** Names of the sockets that lie directly in the folder; none where there is no such folder. */
    sockets(folder: string): string[];
    /**
     * The path without links, also of what does not exist yet: of its nearest folder that does, and of links that
     * lead to nothing. Undefined where links lead in a circle.
     */
    realpath(file: string): string | undefined;
    /** Node's name of the operating system: `darwin`, `linux`, … */
    platform: string;
}

/** Everything that a user chose, checked and resolved. */
export interface Settings
    extends Omit<
        SettingValues,
        | "platforms"
        | "services"
        | "serviceImages"
        | "ports"
        | "toolsets"
        | "extraCaCertificates"
        | "cpus"
        | "builder"
    > {
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

/** What is wrong with one key. */
export interface Problem {
    key: string;
    /** The value as the user wrote it. */
    value: string;
    /** Why it is refused and what is allowed. */
    reason: string;
}

/** The configuration is not usable. Its message lists every problem; `pulumi up` prints it without a stack. */
export class SettingsError extends Error {
    constructor(
        readonly stackName: string,
        readonly problems: readonly Problem[],
    ) {
        const count = problems.length === 1 ? "one problem" : `${problems.length} problems`;
        const lines = problems.map(({ key, value, reason }) => `  carbon:${key} = ${value}: ${reason}`);
        super(
            [
                `The configuration of stack "${stackName}" has ${count}:`,
                ...lines,
                `Change it in Pulumi.${stackName}.yaml; docs/reference.md describes every key.`,
            ].join("\n"),
        );
        this.name = "SettingsError";
    }
}

/**
 * Turns raw configuration into settings.
 *
 * @param raw Configuration values by key (without the namespace), as Pulumi hands them over: arrays and objects
 * as JSON. A key that is missing has its default.
 * @throws SettingsError naming every problem at once.
 */
export function parseSettings(stack: string, raw: Record<string, string>, machine: Machine): Settings {
    const problems: Problem[] = unknownKeys(raw);
    const values = readValues(raw, problems);
    const settings = resolve(stack, values, machine);
    problems.push(...crossCheck(raw, values, settings, machine));
    if (problems.length > 0) {
        throw new SettingsError(stack, problems);
    }
    return settings;
}

function unknownKeys(raw: Record<string, string>): Problem[] {
    const known = Object.keys(settingDefinitions);
    return Object.keys(raw)
        .filter((key) => !known.includes(key))
        .map((key) => ({
            key,
            value: show(raw[key]),
            reason: `there is no such key. Allowed: ${known.join(", ")}.`,
        }));
}

function readValues(raw: Record<string, string>, problems: Problem[]): SettingValues {
    const values: Partial<Record<SettingKey, unknown>> = {};
    for (const key of Object.keys(settingDefinitions) as SettingKey[]) {
        const definition = settingDefinitions[key];
        const text = raw[key];
        const parsed = definition.schema.safeParse(
            text === undefined ? definition.default : decode(text, definition.type),
        );
        if (!parsed.success) {
            problems.push({ key, value: show(text), reason: `not allowed. Allowed: ${definition.allowed}.` });
        }
        // After a problem the default stands in, so that the remaining checks can still speak.
        values[key] = parsed.success ? parsed.data : definition.default;
    }
    return values as SettingValues;
}

/** Pulumi hands every value over as text. What cannot be decoded is left as text, for the schema to refuse. */
function decode(text: string, type: string): unknown {
    if (type === "string") {
        return text;
    }
    try {
        return JSON.parse(text);
    } catch {
        return text;
    }
}

function resolve(stack: string, values: SettingValues, machine: Machine): Settings {
    const { extraCaCertificates, serviceImages, ports, cpus, ...rest } = values;
    const enabled = values.toolsets as Toolset[];
    const available: readonly Toolset[] = values.compute
        ? [...baseToolsets, ...computeToolsets]
        : baseToolsets;
    const dockerContext = currentDockerContext(machine);
    const chosen = chosenServices(values);
    const settings: Settings = {
        ...rest,
        stack,
        platforms: [...new Set(values.platforms.map((platform) => resolvePlatform(platform, machine.arch)))],
        dockerContext,
        builder: values.builder === "auto" ? dockerContext : values.builder,
        toolsets: available.filter((toolset) => enabled.includes(toolset)),
        services: chosen,
        serviceImages: officialImages(chosen, serviceImages),
        ports: {},
        tls: !isLoopback(values.bindAddress),
        tlsNames: isLoopback(values.bindAddress) ? [] : tlsNames(values.bindAddress, machine.hostname?.()),
        workspaceDir: absolute(values.workspaceDir, machine),
        // As Docker reads it back: 1.50 would be a difference for ever.
        cpus: Number(cpus) > 0 ? String(Number(cpus)) : undefined,
        caCertificates: readCertificates(extraCaCertificates, machine),
    };
    for (const port of portsInUse(settings)) {
        settings.ports[port.name] = (ports[port.name] ?? port.port) + values.portOffset;
    }
    return settings;
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

/** The ports that the chosen services publish. */
export function portsInUse(settings: Pick<Settings, "services" | "compute" | "toolsets" | "tls">) {
    return [workspace, ...settings.services]
        .flatMap((service) => service.ports)
        .filter((port) => isIncluded(port, settings));
}

function resolvePlatform(platform: string, arch: string): Platform {
    if (platform === "native") {
        return arch === "arm64" ? "linux/arm64" : "linux/amd64";
    }
    return platform as Platform;
}

function absolute(folder: string, machine: Machine): string {
    const expanded =
        folder === "~" || folder.startsWith("~/") ? path.join(machine.home, folder.slice(1)) : folder;
    return path.resolve(machine.projectDir, expanded);
}

function isLoopback(address: string): boolean {
    return address.startsWith("127.") || address === "::1";
}

function certificateFile(setting: string, machine: Machine): string | undefined {
    if (setting === "none") {
        return undefined;
    }
    if (setting === "auto") {
        return machine.env.NODE_EXTRA_CA_CERTS || machine.env.SSL_CERT_FILE || undefined;
    }
    return absolute(setting, machine);
}

function readCertificates(setting: string, machine: Machine): string | undefined {
    const file = certificateFile(setting, machine);
    return unusualCertificates((file && machine.readFile(file)) ?? "");
}

/** What no key can say of itself: keys that contradict one another, and what this machine does not have. */
function crossCheck(
    raw: Record<string, string>,
    values: SettingValues,
    settings: Settings,
    machine: Machine,
): Problem[] {
    const problem = (key: SettingKey, reason: string): Problem => ({ key, value: show(raw[key]), reason });
    return [
        ...toolsetProblems(settings, problem),
        ...needProblems(settings, problem),
        ...serviceProblems(settings, problem),
        ...portProblems(settings, problem),
        ...(values.push && values.imagePrefix === settingDefinitions.imagePrefix.default
            ? [
                  problem(
                      "push",
                      `${values.imagePrefix} is not a registry of yours. Set imagePrefix to one, such as ghcr.io/me/carbon.`,
                  ),
              ]
            : []),
        ...folderProblems(settings, machine, problem),
        ...certificateProblems(values, settings, machine, problem),
    ];
}

/** Bytes; Linux allows 128 KiB for the environment variable in which the provider hands them to a build. */
const longestCertificates = 120 * 1024;

type MakeProblem = (key: SettingKey, reason: string) => Problem;

function toolsetProblems(settings: Settings, problem: MakeProblem): Problem[] {
    const problems: Problem[] = [];
    for (const toolset of settings.toolsets) {
        for (const need of toolsetNeeds[toolset] ?? []) {
            if (!settings.toolsets.includes(need)) {
                problems.push(
                    problem("toolsets", `${toolset} needs ${need}. Add ${need}, or leave ${toolset} out.`),
                );
            }
        }
    }
    return problems;
}

/** What a service cannot do without. */
function needProblems(settings: Settings, problem: MakeProblem): Problem[] {
    const missing = ({ image, toolset, needs }: ServiceSpec, others: ServiceSpec[]): string | undefined => {
        if (image === "compute" && !settings.compute) {
            return "the compute image. Set compute to true";
        }
        if (toolset && !settings.toolsets.includes(toolset)) {
            return `the toolset ${toolset}. Add it to toolsets`;
        }
        return needs && !others.some(({ name }) => name === needs) ? `${needs}. Add ${needs}` : undefined;
    };
    return catalogued(settings).flatMap((service, _, all) => {
        const need = missing(service, all);
        const advice = `or leave ${service.name} out.`;
        return need ? [problem("services", `${service.name} needs ${need}, ${advice}`)] : [];
    });
}

/** The chosen services as a user names them. */
function catalogued({ services }: Settings): ServiceSpec[] {
    const chosen = services.map(({ name }) => catalogueName(name));
    return serviceCatalogue.filter(({ name }) => chosen.includes(name));
}

function serviceProblems(settings: Settings, problem: MakeProblem): Problem[] {
    const { tls, bindAddress, ollama } = settings;
    const services = catalogued(settings);
    const exposed = services.filter(({ loopbackOnly }) => tls && loopbackOnly);
    const problems = exposed.map(({ name }) =>
        problem(
            "services",
            `${name} speaks no TLS, and bindAddress ${bindAddress} opens it to other machines. Leave ${name} out, or set bindAddress to 127.0.0.1.`,
        ),
    );
    if (ollama === "host" && services.some(({ name }) => name === "ollama")) {
        problems.push(
            problem(
                "ollama",
                "the workspace uses Ollama on the host, but services has ollama too. Leave it out of services, or set ollama to service.",
            ),
        );
    }
    return problems;
}

function portProblems(settings: Settings, problem: MakeProblem): Problem[] {
    const problems: Problem[] = [];
    const seen = new Map<number, string>();
    for (const [name, port] of Object.entries(settings.ports)) {
        const other = seen.get(port);
        if (port > 65535) {
            problems.push(
                problem(
                    "portOffset",
                    `${name} would be on port ${port}. Allowed: ports up to 65535; lower portOffset or ports.${name}.`,
                ),
            );
        } else if (other) {
            problems.push(
                problem(
                    "ports",
                    `${other} and ${name} are both on host port ${port}. Give each a port of its own.`,
                ),
            );
        }
        seen.set(port, name);
    }
    return problems;
}

function folderProblems(settings: Settings, machine: Machine, problem: MakeProblem): Problem[] {
    const reason = whyNotWorkspace(settings.workspaceDir, machine);
    return reason ? [problem("workspaceDir", reason)] : [];
}

function certificateProblems(
    values: SettingValues,
    settings: Settings,
    machine: Machine,
    problem: MakeProblem,
): Problem[] {
    const file = certificateFile(values.extraCaCertificates, machine);
    if (!file) {
        return [];
    }
    const advice = `Allowed: ${settingDefinitions.extraCaCertificates.allowed}.`;
    const text = machine.readFile(file);
    if (text === undefined) {
        return [problem("extraCaCertificates", `${file} cannot be read. ${advice}`)];
    }
    if (!isCertificate(text)) {
        return [problem("extraCaCertificates", `${file} does not start with a PEM certificate. ${advice}`)];
    }
    const size = Buffer.byteLength(settings.caCertificates ?? "");
    if (size > longestCertificates) {
        const reason = `${file} has ${size} bytes of certificates besides the usual ones, and builds take ${longestCertificates}. Name a file with only those that your network needs.`;
        return [problem("extraCaCertificates", reason)];
    }
    return [];
}

function isCertificate(text: string): boolean {
    try {
        new X509Certificate(text);
        return true;
    } catch {
        return false;
    }
}

function show(text: string | undefined): string {
    if (text === undefined) {
        return "(default)";
    }
    const shown = JSON.stringify(text);
    return shown.length > 80 ? `${shown.slice(0, 77)}…"` : shown;
}
