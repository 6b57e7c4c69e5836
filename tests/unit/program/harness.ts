import { readFileSync } from "node:fs";
import * as path from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { vi } from "vitest";
import { parse } from "yaml";
import type { Machine } from "../../../settings/machine";

/** A resource as the program registers it with the engine. */
export interface Registered {
    type: string;
    name: string;
    parent?: string;
    inputs: Record<string, unknown>;
    /** Resource options that were given; those left at their default are absent. */
    options: Record<string, unknown>;
}

/** What a run of the whole program gives. */
export interface Run {
    /** By type and name. */
    resources: Registered[];
    outputs: Record<string, unknown>;
}

const project = path.resolve(__dirname, "../../..");
export const secretSignature = "4dabf18193072939515e22adb298388d";

/** How the engine's protocol marks a secret. */
export const secretValue = "1b47061264138c4ac30d75fd1eb44270";

const digest = `sha256:${"d".repeat(64)}`;

/**
 * Runs index.ts against mocks, with a stack's own configuration file and the given values on top. The machine
 * is an Intel one with a plain Docker, so that the result is the same wherever the tests run.
 */
export async function runProgram(
    stack: string,
    changes: Record<string, unknown> = {},
    env: Record<string, string> = {},
    machine: Partial<Machine> = {},
): Promise<Run> {
    const restore = pretendMachine(env);
    try {
        const resources = await recordRegistrations(stack);
        pulumi.runtime.setAllConfig(configuration(stack, changes));
        vi.resetModules();
        // The tags of the images follow from their sources, and would change the goldens with each of them.
        vi.doMock("../../../catalogue/sources.js", () => ({
            sourceHash: (folder: string) => `sources of ${folder}`,
        }));
        // What Docker and git say differs, too, and so does the time zone.
        vi.doMock("../../../settings/machine.js", async (original) => {
            const actual = await original<typeof import("../../../settings/machine")>();
            const asked = { dockerMemory: () => 8000, gitIdentity: () => ({}), user: "ada", ...machine };
            return { ...actual, thisMachine: (dir: string) => ({ ...actual.thisMachine(dir), ...asked }) };
        });
        const program = await import("../../../index.js");
        const outputs = await plain({ ...program });
        await pulumi.runtime.disconnect(false);
        return { resources: resources.sort(byTypeAndName), outputs };
    } finally {
        restore();
    }
}

function pretendMachine(env: Record<string, string>): () => void {
    const { arch } = process;
    Object.defineProperty(process, "arch", { value: "x64" });
    const plainDocker = { DOCKER_CONTEXT: "default", DOCKER_HOST: "", DOCKER_CONFIG: "/nowhere" };
    const proxies = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];
    const without = [...proxies, ...proxies.map((name) => name.toLowerCase())].map((name) => [name, ""]);
    const plain = { NODE_EXTRA_CA_CERTS: "", SSL_CERT_FILE: "", TZ: "UTC" };
    const all: Record<string, string> = { ...plainDocker, ...plain, ...Object.fromEntries(without), ...env };
    for (const [name, value] of Object.entries(all)) {
        vi.stubEnv(name, value);
    }
    return () => {
        Object.defineProperty(process, "arch", { value: arch });
        vi.unstubAllEnvs();
    };
}

/** Sets mocks up and listens to what reaches them: the request carries the options that mocks are not shown. */
async function recordRegistrations(stack: string): Promise<Registered[]> {
    const mocks: pulumi.runtime.Mocks = {
        newResource: ({ name, type, inputs }) => ({ id: `${name}-id`, state: stateOf(type, name, inputs) }),
        call: ({ token }) => {
            throw new Error(`the program calls ${token}`);
        },
    };
    await pulumi.runtime.setMocks(mocks, "carbon", stack);
    const resources: Registered[] = [];
    const monitor = pulumi.runtime.getMonitor() as unknown as RecordedMonitor;
    const register = monitor.registerResource.bind(monitor);
    monitor.registerResource = (request, ...rest) => {
        resources.push(recorded(request));
        return register(request, ...rest);
    };
    return resources;
}

/** The part of the protocol's RegisterResourceRequest that is recorded. */
interface WireRequest {
    toObject(): Record<string, unknown>;
    getType(): string;
    getName(): string;
    getParent(): string;
    getObject(): { toJavaScript(): Record<string, unknown> };
}

interface RecordedMonitor {
    registerResource(request: WireRequest, ...rest: unknown[]): unknown;
}

const recordedOptions = [
    "protect",
    "deletebeforereplace",
    "replaceonchangesList",
    "ignorechangesList",
    "retainondelete",
    "additionalsecretoutputsList",
    "aliasesList",
    "providersMap",
    "dependenciesList",
];

function recorded(request: WireRequest): Registered {
    const fields = request.toObject();
    const options = recordedOptions
        .map((name) => [name.replace(/(List|Map)$/, ""), fields[name]] as const)
        .filter(([, value]) => value && !(Array.isArray(value) && value.length === 0));
    return {
        type: request.getType(),
        name: request.getName(),
        ...(request.getParent() && { parent: request.getParent() }),
        inputs: normalized(request.getObject().toJavaScript()) as Record<string, unknown>,
        options: Object.fromEntries(
            options.map(([name, value]) => [name, Array.isArray(value) ? [...value].sort() : value]),
        ),
    };
}

/** What the providers add to a resource's inputs, as far as the program reads it. */
function stateOf(type: string, name: string, inputs: Record<string, unknown>): Record<string, unknown> {
    switch (type) {
        case "docker-build:index:Image":
            return inputs.tags
                ? { ...inputs, digest, ref: `${(inputs.tags as string[])[0]}@${digest}` }
                : { ...inputs, digest: "", ref: "" };
        case "random:index/randomPassword:RandomPassword":
            // The engine marks what the SDK lists under additionalSecretOutputs.
            return { ...inputs, result: { [secretSignature]: secretValue, value: `<${name}>` } };
        case "command:local:Command":
            return { ...inputs, stdout: '{"schema":1}' };
        default:
            return inputs;
    }
}

/** Without what differs between machines; documents as what they hold, so that goldens can be read. */
function normalized(value: unknown): unknown {
    if (typeof value === "string" && value.startsWith("{\n")) {
        return normalized(JSON.parse(value));
    }
    if (typeof value === "string") {
        return value.replaceAll(project, "<project>");
    }
    if (Array.isArray(value)) {
        return value.map(normalized);
    }
    if (value && typeof value === "object") {
        return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, normalized(item)]));
    }
    return value;
}

function configuration(stack: string, changes: Record<string, unknown>): Record<string, string> {
    const { config } = parse(readFileSync(path.join(project, `Pulumi.${stack}.yaml`), "utf8"));
    const changed = Object.entries(changes).map(([key, value]) => [`carbon:${key}`, value] as const);
    return Object.fromEntries(
        [...Object.entries(config), ...changed].map(([key, value]) => [
            key,
            typeof value === "string" ? value : JSON.stringify(value),
        ]),
    );
}

function plain(value: Record<string, unknown>): Promise<Record<string, unknown>> {
    return new Promise((resolve) => {
        pulumi.output(value).apply((resolved) => resolve(resolved as Record<string, unknown>));
    });
}

function byTypeAndName(one: Registered, other: Registered): number {
    return `${one.type} ${one.name}`.localeCompare(`${other.type} ${other.name}`);
}
