import type Docker from "dockerode";
import { connect, resolveEndpoint } from "./docker/endpoint";
import { type Context, text } from "./drivers/driver";
import type { Display, Subject } from "./events";
import type { ResourceState } from "./state";
import { isProviderType, nameOf, packageOf, providerUrn } from "./urn";
import { type Props, reveal } from "./values";

/** Makes the drivers' contexts; knows the providers' settings and keeps one Docker client for each. */
export class Contexts {
    private readonly providers = new Map<string, Props>();
    private readonly clients = new Map<string, Docker>();

    constructor(
        private readonly common: {
            projectDir: string;
            signal: AbortSignal;
            display: Display;
        },
    ) {}

    /** Takes note of the settings of a provider. */
    addProvider(state: Pick<ResourceState, "urn" | "type" | "inputs">): void {
        if (isProviderType(state.type)) {
            this.providers.set(state.urn, reveal(state.inputs));
            this.clients.delete(state.urn);
        }
    }

    for(resource: Pick<ResourceState, "urn" | "type" | "provider">, interrupted?: Props): Context {
        const { provider } = resource;
        const subject = subjectOf(resource);
        const { projectDir, signal, display } = this.common;
        const settings = provider ? (this.providers.get(providerUrn(provider)) ?? {}) : {};
        return {
            name: subject.name,
            projectDir,
            env: commandEnvironment(provider, settings),
            signal,
            interrupted,
            docker: () => this.client(provider ?? "", settings),
            progress: (line) => display.show({ kind: "progress", subject, line }),
            message: (line) => display.show({ kind: "message", severity: "info", text: line, subject }),
        };
    }

    private client(provider: string, settings: Props): Docker {
        const known = this.clients.get(provider);
        if (known) {
            return known;
        }
        const wanted = { context: text(settings, "context"), host: text(settings, "host") };
        const client = connect(resolveEndpoint(wanted, process.env));
        this.clients.set(provider, client);
        return client;
    }
}

/** The docker command works where the resource's own provider does: a docker or docker-build provider's settings. */
function commandEnvironment(provider: string | undefined, settings: Props): NodeJS.ProcessEnv {
    const name = provider && packageOf(providerUrn(provider).split("::")[2] ?? "");
    const { context, host } = settings;
    if (name === "docker" && context) {
        return { DOCKER_CONTEXT: String(context), DOCKER_HOST: undefined };
    }
    return (name === "docker" || name === "docker-build") && host ? { DOCKER_HOST: String(host) } : {};
}

/** How an event names a resource. */
export function subjectOf(resource: Pick<ResourceState, "urn" | "type">): Subject {
    return { urn: resource.urn, type: resource.type, name: nameOf(resource.urn) };
}
