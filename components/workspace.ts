import * as pulumi from "@pulumi/pulumi";
import { workspace } from "../catalogue";
import type { AppPort } from "../catalogue/chosen";
import type { HostGateway } from "../catalogue/gpu";
import { type GeneratedSecret, type Reachable, Service, type StackArgs } from "./service";

/** Arguments of {@link Workspace}. */
export interface WorkspaceArgs extends StackArgs {
    /** Image reference. */
    image: pulumi.Input<string>;
    /** The services that the workspace can reach; it is handed their passwords and shared volumes. */
    services: Reachable[];
    /** Variables by which programs in it find these services. */
    env: Record<string, string>;
    /** The host's kernels, where it may start some. */
    hostKernels?: HostGateway;
    /** Secrets of servers that are no services of the stack, by file name. */
    foreignSecrets?: Record<string, string>;
    /** Ports of the user's own programs. */
    appPorts: AppPort[];
    /** git's configuration with the user's name and e-mail address. */
    gitConfig?: string;
    /** CPUs that it may use; all when absent. */
    cpus?: string;
    /** Size of /dev/shm in MiB. */
    shmSize: number;
}

/**
 * The container that the user works in. Its home folder is a volume, /workspace is a folder of the user's, and
 * the user `carbon` has the uid and gid of the settings.
 */
export class Workspace extends pulumi.ComponentResource {
    /** Id of the container. */
    readonly containerId: pulumi.Output<string>;
    /** Name of the container. */
    readonly containerName: pulumi.Output<string>;
    /** Passwords of the desktop, SSH, JupyterLab and code-server. */
    readonly secrets: GeneratedSecret[];
    /** Once it is there, the container has its limit of processes too. */
    readonly processLimit: pulumi.Resource;

    constructor(name: string, args: WorkspaceArgs, opts?: pulumi.ComponentResourceOptions) {
        super("carbon:components:Workspace", name, {}, opts);
        const { services, gitConfig, cpus, shmSize, ...rest } = args;
        const service = new Service(
            name,
            {
                ...rest,
                spec: workspace,
                reaches: services,
                sharedVolumes: services.flatMap((other) => other.sharedVolumes),
                files: gitConfig ? { "/run/carbon/gitconfig": gitConfig } : undefined,
                limits: { cpus, shmSize },
            },
            { parent: this },
        );
        this.containerId = service.containerId;
        this.containerName = service.containerName;
        this.secrets = service.secrets;
        this.processLimit = service.processLimit;
        this.registerOutputs({ containerId: this.containerId, containerName: this.containerName });
    }
}
