import { readFileSync } from "node:fs";
import * as command from "@pulumi/command";
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import {
    boundedLog,
    type Choice,
    type FileSpec,
    type HealthSpec,
    isIncluded,
    keysVolume,
    patienceSeconds,
    type ReferredSettings,
    runsUserCode,
    type SecretSpec,
    type ServiceLimits,
    type ServiceSpec,
    type VolumeSpec,
    workspace,
} from "../catalogue";
import { type AppPort, memoryLimit } from "../catalogue/chosen";
import { documentPath, launcherCards, servicesDocument } from "../catalogue/document";
import { type GpuAccess, type GpuRoute, gpuAccess, type HostGateway, isPassedIn } from "../catalogue/gpu";
import { containerName, machineName, passwordName, stackLabels, volumeName } from "../catalogue/names";

/** Folder in every container that holds its secrets, one file each, readable by root alone. */
const secretsFolder = "/run/carbon/secrets";

/** A password and the service that it opens. */
export interface GeneratedSecret {
    spec: SecretSpec;
    password: pulumi.Output<string>;
}

/** A named volume and its mount point. */
export interface MountedVolume {
    volumeName: pulumi.Input<string>;
    containerPath: string;
}

/** What the containers of a stack have in common. */
export interface StackArgs {
    stack: string;
    /** Name of the user who deploys. */
    user: string;
    /** Decides which ports and secrets there are. */
    choice: Choice;
    /** Values of the settings that the catalogue refers to. */
    values: ReferredSettings;
    /** Address of the host that the ports are bound to. */
    bindAddress: string;
    /** Host port by port name. */
    ports: Record<string, number>;
    /** Names and addresses of the host that certificates hold. */
    tlsNames: string[];
    /** PEM text of authorities that the user's programs trust besides the usual ones. */
    caCertificates?: string;
    /** How the stack's programs reach a GPU. */
    gpu: GpuRoute;
    /** Environment variables of the user's programs; they may be secret. */
    environment: Record<string, string>;
    /** The user's folder, which is /workspace where the catalogue says so. */
    workspaceDir: string;
    /** Variables that have `docker` go where the stack lives; undefined where the user's own do. */
    dockerEnvironment?: Record<string, string>;
    /** Name of the stack's network. */
    network: pulumi.Input<string>;
    /** Name of the stack's volume of keys, which is mounted where the catalogue says so. */
    keys: pulumi.Input<string>;
}

/** A service as those that reach it see it. */
export interface Reachable {
    /** The service as the settings have it. */
    readonly spec: ServiceSpec;
    /** The service's own passwords. */
    readonly secrets: GeneratedSecret[];
    /** The service's volumes that the workspace mounts too. */
    readonly sharedVolumes: MountedVolume[];
    /** What must be there before those that need it. */
    readonly resource: pulumi.Resource;
}

/** Arguments of {@link Service}. */
export interface ServiceArgs extends StackArgs {
    spec: ServiceSpec;
    /** Image reference. */
    image: pulumi.Input<string>;
    /** The services that it reaches: it is told of them, and handed their secrets. It waits for the one it needs. */
    reaches: Reachable[];
    /** More environment; nothing secret, as `docker inspect` shows it. */
    env?: Record<string, string>;
    /** Volumes of other services to mount. */
    sharedVolumes?: MountedVolume[];
    /** Files that are not secret but are handed over in the same way, by path. */
    files?: Record<string, string>;
    /** Secrets that are none of this stack's own, by file name. */
    foreignSecrets?: Record<string, string>;
    /** Ports of the user's own programs. */
    appPorts?: AppPort[];
    /** The host's kernels, where it may start some. */
    hostKernels?: HostGateway;
    /** Limits besides those in the catalogue. */
    limits?: { cpus?: string; shmSize?: number };
}

/** What decides which files a service is handed. */
export type HandedArgs = Omit<ServiceArgs, "image" | "network" | "keys">;

/**
 * One container of the suite with what belongs to it: a named volume per place that must survive, a generated
 * password per login, its ports and its health check. The volumes stay when the stack goes down. The container
 * is up only once it is healthy.
 *
 * It has the capabilities that the catalogue lists and no others, a bounded log, and as many processes as the
 * catalogue says. The provider's container has no argument for these; a command sets them afterwards, and again for
 * each new container. Docker keeps them through restarts. Neither engine sees it when somebody else changes them.
 */
export class Service extends pulumi.ComponentResource implements Reachable {
    /** The service as the settings have it. */
    readonly spec: ServiceSpec;
    /** Id of the container; it changes when the container is replaced. */
    readonly containerId: pulumi.Output<string>;
    /** Name of the container. */
    readonly containerName: pulumi.Output<string>;
    /** The service's own passwords. */
    readonly secrets: GeneratedSecret[];
    /** The service's volumes that the workspace mounts too. */
    readonly sharedVolumes: MountedVolume[];

    /** Once it is there, the container has its limit of processes too. */
    readonly processLimit: pulumi.Resource;

    /** The container. */
    readonly resource: pulumi.Resource;

    constructor(name: string, args: ServiceArgs, opts?: pulumi.ComponentResourceOptions) {
        super("carbon:components:Service", name, {}, opts);
        const { spec, stack, user } = args;
        this.spec = spec;
        this.secrets = spec.secrets
            .filter((secret) => isIncluded(secret, args.choice))
            .map((secret) => this.generate(name, secret));
        const volumes = spec.volumes.map((volume) => {
            const { name: created } = new docker.Volume(
                `${name}-${volume.name}-volume`,
                { name: volumeName(stack, volume.name), labels: stackLabels(stack, spec.name, user) },
                // Docker changes no volume's labels: one that has others is the stack's all the same.
                { parent: this, retainOnDelete: true, ignoreChanges: ["labels"] },
            );
            return { volumeName: created, containerPath: volume.path, shared: volume.shared };
        });
        this.sharedVolumes = volumes.filter(({ shared }) => shared).map(mounted);
        const memory = memoryLimit(spec, args.values);
        const { devices, gpus } = accessOf(args);
        const container = new docker.Container(
            `${name}-container`,
            {
                name: containerName(stack, spec.name),
                image: args.image,
                hostname: spec.name,
                command: spec.command,
                envs: Object.entries(variables(args)).map(([key, value]) => `${key}=${value}`),
                uploads: handedOver(args, this.secrets),
                labels: stackLabels(stack, spec.name, user),
                networkMode: "bridge",
                networksAdvanced: [{ name: args.network, aliases: [spec.name] }],
                // Docker's word for the address.
                hosts: runsUserCode(spec) ? [{ host: machineName, ip: "host-gateway" }] : undefined,
                ports: publishedPorts(args),
                volumes: [
                    ...volumes.map(mounted),
                    ...keys(args),
                    ...(args.sharedVolumes ?? []),
                    ...(spec.workspaceFolder
                        ? [{ containerPath: "/workspace", hostPath: args.workspaceDir }]
                        : []),
                    ...(spec.readsHome ? workspace.volumes.map((home) => readOnly(stack, home)) : []),
                ],
                healthcheck: healthcheck(spec.health),
                restart: "unless-stopped",
                devices,
                gpus,
                ...privileges(spec),
                logDriver: "json-file",
                logOpts: boundedLog,
                memory,
                // Docker's own default, written out: left unset it reads back as a difference for ever.
                memorySwap: memory * 2,
                cpus: args.limits?.cpus,
                shmSize: args.limits?.shmSize,
                stopTimeout: spec.stopTimeout,
                // Without it the provider kills the container at once when it replaces it.
                destroyGraceSeconds: spec.stopTimeout,
                mustRun: true,
                wait: true,
                waitTimeout: patienceSeconds(spec.health),
            },
            {
                parent: this,
                dependsOn: args.reaches
                    .filter((other) => other.spec.name === spec.needs)
                    .map(({ resource }) => resource),
                // The name and the host ports can be held only once.
                deleteBeforeReplace: true,
                // The provider calls a change of these an update, but does not carry it out.
                replaceOnChanges: ["healthcheck"],
                // Another user who deploys is no reason to make it anew.
                ignoreChanges: ["labels"],
            },
        );
        this.processLimit = new command.local.Command(
            `${name}-processes`,
            {
                create: pulumi.interpolate`docker update --pids-limit ${spec.processes} ${container.name}`,
                environment: args.dockerEnvironment,
                triggers: [container.id],
                // Docker prints the name; errors are shown whatever this says.
                logging: "none",
            },
            { parent: this },
        );
        this.resource = container;
        this.containerId = container.id;
        this.containerName = container.name;
        this.registerOutputs({ containerId: this.containerId, containerName: this.containerName });
    }

    private generate(name: string, spec: SecretSpec): GeneratedSecret {
        const { result } = new random.RandomPassword(
            passwordName(name, spec.name),
            { length: spec.length, special: false },
            { parent: this },
        );
        return { spec, password: result };
    }
}

/** A file that is put into a container before it starts. */
export interface HandedFile {
    file: string;
    content: pulumi.Input<string>;
    /** Octal, such as 0400. */
    permissions: string;
}

/**
 * The files that a service is handed: secrets, its own and those of what it reaches, and what it is told of the stack.
 *
 * @param own Its own secrets.
 */
export function handedOver(args: HandedArgs, own: readonly GeneratedSecret[]): HandedFile[] {
    const files = {
        ...documentFile(args),
        ...(runsUserCode(args.spec) && authorities(args)),
        ...args.files,
    };
    return [
        ...own.map(ownSecretFile),
        ...args.reaches.flatMap(({ secrets }) => secrets).map(secretFile),
        ...Object.entries(args.foreignSecrets ?? {}).map(foreignSecretFile),
        ...(runsUserCode(args.spec) ? environmentFile(args) : []),
        ...(args.spec.files ?? []).map(projectFile),
        ...Object.entries(files).map(([file, content]) => ({ file, content, permissions: "0444" })),
    ];
}

function secretFile({ spec, password }: GeneratedSecret) {
    return { file: `${secretsFolder}/${spec.name}`, content: password, permissions: "0400" };
}

function foreignSecretFile([name, value]: [name: string, value: string]) {
    return { file: `${secretsFolder}/${name}`, content: pulumi.secret(value), permissions: "0400" };
}

/** As the service itself takes its secret. */
function ownSecretFile(secret: GeneratedSecret) {
    const { file } = secret.spec;
    return file
        ? {
              file: file.path,
              content: secret.password.apply((password) => file.content.replace("{secret}", password)),
              permissions: "0400",
          }
        : secretFile(secret);
}

/**
 * What the suite's own images are told of the stack: no more than what concerns the container, so that it is not
 * replaced for a service that it has nothing to do with.
 */
function documentFile({
    spec,
    reaches,
    stack,
    tlsNames,
    choice,
    ports,
    appPorts,
    gpu,
    hostKernels,
}: HandedArgs): Record<string, string> {
    if (typeof spec.image === "object") {
        return {};
    }
    const others = reaches.map((other) => other.spec);
    const document = {
        ...servicesDocument({ ...choice, stack, tlsNames }, [spec, ...others]),
        ...(spec.gpu && isPassedIn(gpu) && { gpu: { route: gpu } }),
        ...(hostKernels && { gpu: { route: gpu, url: hostKernels.url, stack } }),
        appPorts,
        // In the workspace's alone, so that another port on the host replaces no other container.
        cards: spec.name === workspace.name ? launcherCards(others, choice, ports) : undefined,
    };
    return { [documentPath]: `${JSON.stringify(document, null, 2)}\n` };
}

function authorities({ caCertificates }: HandedArgs): Record<string, string> {
    return caCertificates ? { "/run/carbon/ca.pem": caCertificates } : {};
}

/** A file and not the container's own environment, which `docker inspect` shows. */
function environmentFile({ environment }: HandedArgs) {
    return Object.keys(environment).length === 0
        ? []
        : [
              {
                  file: "/run/carbon/environment.json",
                  content: pulumi.secret(JSON.stringify(environment)),
                  permissions: "0400",
              },
          ];
}

function projectFile({ path, source, permissions }: FileSpec) {
    return { file: path, content: readFileSync(source, "utf8"), permissions };
}

/** Docker's health check of a service. */
export function healthcheck({ test, ...timing }: HealthSpec) {
    return { tests: test ?? ["CMD", "carbon-health"], ...timing };
}

/**
 * In the form in which newer clients of Docker send it and every engine reads it back: without the prefix, it would
 * be a difference for ever.
 */
export function privileges({ capabilities, noNewPrivileges }: ServiceLimits) {
    return {
        capabilities: { drops: ["ALL"], adds: capabilities.map((name) => `CAP_${name}`) },
        ...(noNewPrivileges && { securityOpts: ["no-new-privileges:true"] }),
    };
}

function keys({ spec, choice, keys }: ServiceArgs): MountedVolume[] {
    const isMounted = spec.keys === "always" || (spec.keys === "tls" && choice.tls);
    return isMounted ? [{ volumeName: keys, containerPath: keysVolume.path }] : [];
}

function mounted({ volumeName, containerPath }: MountedVolume): MountedVolume {
    return { volumeName, containerPath };
}

/**
 * By name, not by its resource, which is the workspace's, and the workspace is made last: whichever container is there
 * first has Docker make the volume, as the image has the folder, and the resource takes it over.
 */
function readOnly(stack: string, { name, path }: VolumeSpec) {
    return { volumeName: volumeName(stack, name), containerPath: path, readOnly: true };
}

/** What the container is given of a GPU. */
function accessOf({ spec, gpu }: HandedArgs): GpuAccess {
    return gpuAccess(spec.gpu ? gpu : "off");
}

/** The container's environment; nothing secret. */
export function variables(args: HandedArgs): Record<string, string> {
    const { spec, values, env } = args;
    const chosen = Object.entries(spec.env ?? {}).map(([name, key]) => [name, values[key]]);
    return {
        ...Object.fromEntries(chosen),
        TZ: values.timezone,
        ...env,
        ...accessOf(args).env,
    };
}

/** In the order of the container's ports, in which the provider reads them back. */
function publishedPorts({ spec, choice, ports, bindAddress, appPorts = [] }: ServiceArgs) {
    const own = spec.ports
        .filter((port) => isIncluded(port, choice))
        .map(({ port, name }) => ({
            internal: port,
            external: ports[name],
            ip: bindAddress,
            protocol: "tcp",
        }));
    // The user's programs speak no TLS, and rarely ask for a password.
    const apps = appPorts.map(({ forward, published }) => ({
        internal: forward,
        external: published,
        ip: "127.0.0.1",
        protocol: "tcp",
    }));
    return [...own, ...apps].sort((one, other) => one.internal - other.internal);
}
