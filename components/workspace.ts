import * as pulumi from "@pulumi/pulumi";
import { workspace } from "../services";
import type { Settings } from "../settings";
import { type GeneratedSecret, Service } from "./service";

/** Arguments of {@link Workspace}. */
export interface WorkspaceArgs {
    settings: Settings;
    /** Image reference with its digest. */
    image: pulumi.Input<string>;
    /** Name of the stack's network. */
    network: pulumi.Input<string>;
    /** The services that the workspace can reach; it is handed their passwords. */
    services: Service[];
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

    constructor(name: string, args: WorkspaceArgs, opts?: pulumi.ComponentResourceOptions) {
        super("carbon:components:Workspace", name, {}, opts);
        const { settings } = args;
        const service = new Service(
            name,
            {
                spec: workspace,
                settings,
                image: args.image,
                network: args.network,
                env: {
                    CARBON_UID: String(settings.uid),
                    CARBON_GID: String(settings.gid),
                    CARBON_SERVICES: settings.services.map((spec) => spec.name).join(" "),
                    ...ollamaAddress(settings),
                },
                // Docker Desktop knows the name of itself; other engines are told.
                hosts: settings.ollama === "host" ? { "host.docker.internal": "host-gateway" } : undefined,
                folders: { "/workspace": settings.workspaceDir },
                clientSecrets: args.services.flatMap((other) => other.secrets),
                files: settings.caCertificates
                    ? { "/run/carbon/ca.pem": settings.caCertificates }
                    : undefined,
                limits: { memory: settings.memory, cpus: settings.cpus, shmSize: settings.shmSize },
            },
            { parent: this },
        );
        this.containerId = service.containerId;
        this.containerName = service.containerName;
        this.secrets = service.secrets;
        this.registerOutputs({ containerId: this.containerId, containerName: this.containerName });
    }
}

/** Where Ollama's own programs and libraries look for it (https://docs.ollama.com/faq). */
function ollamaAddress({ ollama, services }: Settings): Record<string, string> {
    if (ollama === "host") {
        return { OLLAMA_HOST: "http://host.docker.internal:11434" };
    }
    return services.some(({ name }) => name === "ollama") ? { OLLAMA_HOST: "http://ollama:11434" } : {};
}
