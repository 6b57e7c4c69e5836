import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type Docker from "dockerode";
import { z } from "zod";
import { EngineError } from "../engine-error";
import { readDocument } from "../read-document";
import { SshAgent } from "./ssh";

/** How to reach a Docker Engine. */
export interface Endpoint {
    /** `unix:///…`, `tcp://host:port` or `ssh://user@host:port`. */
    host: string;
    /** Folder of ca.pem, cert.pem and key.pem, where the engine asks for TLS. */
    certs?: string;
}

const DEFAULT_HOST = "unix:///var/run/docker.sock";

const configSchema = z.looseObject({ currentContext: z.string().optional() });
const contextSchema = z.looseObject({
    Endpoints: z.looseObject({ docker: z.looseObject({ Host: z.string().optional() }).optional() }).nullish(),
});

/**
 * Finds the engine: an explicit provider's `context` or `host` first, then DOCKER_HOST, DOCKER_CONTEXT and the
 * Docker CLI's current context, then the usual socket.
 */
export function resolveEndpoint(
    provider: { context?: string; host?: string },
    env: NodeJS.ProcessEnv,
    configDir = env.DOCKER_CONFIG ?? join(homedir(), ".docker"),
): Endpoint {
    if (provider.context) {
        return contextEndpoint(provider.context, configDir);
    }
    const host = provider.host || env.DOCKER_HOST;
    if (host) {
        return { host, certs: env.DOCKER_TLS_VERIFY ? (env.DOCKER_CERT_PATH ?? configDir) : undefined };
    }
    const file = join(configDir, "config.json");
    const context = env.DOCKER_CONTEXT || readDocument(file, configSchema)?.currentContext;
    return context ? contextEndpoint(context, configDir) : { host: DEFAULT_HOST };
}

/** Contexts lie under the SHA-256 of their name (docker/cli, cli/context/store). */
function contextEndpoint(name: string, configDir: string): Endpoint {
    if (name === "default") {
        return { host: DEFAULT_HOST };
    }
    const id = createHash("sha256").update(name).digest("hex");
    const meta = readDocument(join(configDir, "contexts", "meta", id, "meta.json"), contextSchema);
    if (!meta) {
        throw new EngineError(`There is no Docker context "${name}": see "docker context ls".`);
    }
    const certs = join(configDir, "contexts", "tls", id, "docker");
    return {
        host: meta.Endpoints?.docker?.Host ?? DEFAULT_HOST,
        certs: existsSync(certs) ? certs : undefined,
    };
}

/** A client for the endpoint. Nothing is sent before the first call. */
export function connect(endpoint: Endpoint): Docker {
    if (!URL.canParse(endpoint.host)) {
        throw new EngineError(
            `"${endpoint.host}" is no address of a Docker Engine: unix:///…, tcp://… or ssh://… is one.`,
        );
    }
    const url = new URL(endpoint.host);
    // Loaded here: with what it depends on it takes a tenth of a second, which most commands do without.
    const Client = require("dockerode") as typeof Docker;
    if (url.protocol === "unix:") {
        return new Client({ socketPath: url.pathname });
    }
    if (["tcp:", "http:", "https:"].includes(url.protocol)) {
        return new Client({ host: url.hostname, port: url.port || 2375, ...tls(endpoint, url) });
    }
    if (url.protocol === "ssh:") {
        // The name stands in the request alone: the agent knows where it goes.
        const options = { host: "docker.example.com", port: 80, protocol: "http", agent: new SshAgent(url) };
        return new Client(options as Docker.DockerOptions);
    }
    throw new EngineError(
        `The embedded engine cannot reach Docker over ${url.protocol}// (${endpoint.host}): use a local socket, ` +
            "tcp:// or ssh://, or install the Pulumi CLI.",
    );
}

function tls(endpoint: Endpoint, url: URL): Docker.DockerOptions {
    const { certs } = endpoint;
    if (!certs) {
        return { protocol: url.protocol === "https:" ? "https" : "http" };
    }
    const [ca, cert, key] = ["ca.pem", "cert.pem", "key.pem"].map((file) => readFileSync(join(certs, file)));
    return { protocol: "https", ca, cert, key };
}
