import * as pulumi from "@pulumi/pulumi";
import { catalogueName, workspace } from "../catalogue";
import type { Settings } from "../settings";
import { type GeneratedSecret, Service } from "./service";

/** Arguments of {@link Workspace}. */
export interface WorkspaceArgs {
    settings: Settings;
    /** Image reference with its digest. */
    image: pulumi.Input<string>;
    /** Name of the stack's network. */
    network: pulumi.Input<string>;
    /** Name of the stack's volume of keys. */
    keys: pulumi.Input<string>;
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
    /** Once it is there, the container has its limit of processes too. */
    readonly processLimit: pulumi.Resource;

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
                keys: args.keys,
                env: {
                    CARBON_SERVICES: [...serviceNames(settings)].join(" "),
                    ...ollamaAddress(settings),
                    ...computeServices(settings),
                },
                // Docker Desktop knows the name of itself; other engines are told.
                hosts: settings.ollama === "host" ? { "host.docker.internal": "host-gateway" } : undefined,
                sharedVolumes: args.services.flatMap((other) => other.sharedVolumes),
                clientSecrets: args.services.flatMap((other) => other.secrets),
                files: settings.caCertificates
                    ? { "/run/carbon/ca.pem": settings.caCertificates }
                    : undefined,
                limits: { cpus: settings.cpus, shmSize: settings.shmSize },
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

/** Where Ollama's own programs and libraries look for it (https://docs.ollama.com/faq). */
function ollamaAddress(settings: Settings): Record<string, string> {
    if (settings.ollama === "host") {
        return { OLLAMA_HOST: "http://host.docker.internal:11434" };
    }
    return serviceNames(settings).has("ollama") ? { OLLAMA_HOST: "http://ollama:11434" } : {};
}

/** How much of a worker Spark's sessions may ask for, and where the LLM server answers. */
function computeServices(settings: Settings): Record<string, string> {
    const names = serviceNames(settings);
    return {
        ...(names.has("spark-master") && { CARBON_SPARK_WORKER_MEMORY: String(settings.sparkWorkerMemory) }),
        ...(names.has("llm") && { CARBON_LLM_URL: "http://llm:8001/v1" }),
    };
}

function serviceNames({ services }: Settings): Set<string> {
    return new Set(services.map(({ name }) => catalogueName(name)));
}
