import type Docker from "dockerode";
import { connect, resolveEndpoint } from "./docker/endpoint";
import { type Context, text } from "./drivers/driver";
import type { Display, Subject } from "./events";
import type { ResourceState } from "./state";
import { isProviderType, nameOf, packageOf, providerUrn, qualifiedType } from "./urn";
import { type Props, reveal } from "./values";

/** What is known of a provider; its Docker client is made when first needed. */
interface Provider {
    settings: Props;
    client?: Docker;
}

/** Makes the drivers' contexts; knows the providers' settings and keeps one Docker client for each. */
export class Contexts {
    private readonly providers = new Map<string, Provider>();
    private readonly unknown: Provider = { settings: {} };

    constructor(private readonly common: Pick<Context, "projectDir" | "signal"> & { display: Display }) {}

    /** Takes note of the settings of a provider. */
    addProvider(state: Pick<ResourceState, "urn" | "type" | "inputs">): void {
        if (isProviderType(state.type)) {
            this.providers.set(state.urn, { settings: reveal(state.inputs) });
        }
    }

    for(resource: Pick<ResourceState, "urn" | "type" | "provider">): Context {
        const subject = subjectOf(resource);
        const { projectDir, signal, display } = this.common;
        const urn = providerUrn(resource.provider ?? "");
        const provider = this.providers.get(urn) ?? this.unknown;
        return {
            name: subject.name,
            projectDir,
            env: commandEnvironment(urn, provider.settings),
            signal,
            docker() {
                provider.client ??= connectTo(provider.settings);
                return provider.client;
            },
            progress: (line) => display.show({ kind: "progress", subject, line }),
            message: (line) => display.show({ kind: "message", severity: "info", text: line, subject }),
        };
    }
}

function connectTo(settings: Props): Docker {
    const wanted = { context: text(settings, "context"), host: text(settings, "host") };
    return connect(resolveEndpoint(wanted, process.env));
}

/** The docker command works where the resource's own provider does: a docker or docker-build provider's settings. */
function commandEnvironment(provider: string, settings: Props): NodeJS.ProcessEnv {
    const name = packageOf(qualifiedType(provider));
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
