import { createHash } from "node:crypto";
import * as path from "node:path";
import { z } from "zod";
import { parseServer, type Server } from "./server";

/** What the current Docker context depends on. */
export interface DockerEnvironment {
    env: Record<string, string | undefined>;
    home: string;
    readFile(file: string): string | undefined;
}

/** Where a stack lives. */
export interface ChosenEngine {
    /** Docker context; `default` is the plain one. */
    context: string;
    /** `ssh://…`, where the setting names the engine itself and no context. */
    host?: string;
    /** The machine behind it, where it is reached over SSH. */
    server?: Server;
    /** Variables that have `docker` go there, where the setting says so; undefined where the user's own do. */
    environment?: Record<string, string>;
}

/** What the setting `dockerContext` comes to: `auto`, the name of a context, or `ssh://…`. */
export function chosenEngine(setting: string, machine: DockerEnvironment): ChosenEngine {
    if (setting.startsWith("ssh://")) {
        const environment = { DOCKER_HOST: setting };
        return { context: "default", host: setting, server: parseServer(setting), environment };
    }
    const context = setting === "auto" ? currentDockerContext(machine) : setting;
    const host = (setting === "auto" && machine.env.DOCKER_HOST) || hostOfContext(context, machine);
    return {
        context,
        server: host === undefined ? undefined : parseServer(host),
        environment: setting === "auto" ? undefined : { DOCKER_CONTEXT: setting },
    };
}

/**
 * Why the environment would have `docker` go elsewhere than the setting says, or to a server whose address is not
 * understood, so that what is meant for it would be done here; undefined where all is well.
 */
export function whyNotEngine(setting: string, machine: DockerEnvironment): string | undefined {
    return whyElsewhere(setting, machine) ?? whyNotUnderstood(setting, machine);
}

function whyNotUnderstood(setting: string, machine: DockerEnvironment): string | undefined {
    const name = setting === "auto" ? currentDockerContext(machine) : setting;
    const address = (setting === "auto" && machine.env.DOCKER_HOST) || hostOfContext(name, machine);
    return address?.startsWith("ssh:") && !parseServer(address)
        ? `it leads to ${JSON.stringify(address)}. Of a server's addresses ssh://[user@]host[:port] alone is understood; what else ssh needs to know belongs into ~/.ssh/config.`
        : undefined;
}

function whyElsewhere(setting: string, machine: DockerEnvironment): string | undefined {
    const { DOCKER_HOST: host, DOCKER_CONTEXT: context } = machine.env;
    const isAddress = setting.startsWith("ssh://");
    const [other] = [
        ...(host && host !== setting ? ["DOCKER_HOST"] : []),
        ...(context && context !== "default" && context !== setting ? ["DOCKER_CONTEXT"] : []),
    ];
    if (setting === "auto") {
        return undefined;
    }
    if (other) {
        return `${other} in your environment leads to another engine. Type \`unset ${other}\`, or set dockerContext to auto.`;
    }
    return !isAddress && setting !== "default" && hostOfContext(setting, machine) === undefined
        ? "there is no such Docker context. `docker context ls` lists them; `docker context create` makes one."
        : undefined;
}

/**
 * Why a deployment would go elsewhere in part: docker-build's provider has no argument for an engine's address that its
 * `exec` mode heeds (provider/internal/cli.go), so that the environment has to say it, as `carbon` has it do.
 */
export function whyNotBuilt(setting: string, { env }: DockerEnvironment): string | undefined {
    return setting.startsWith("ssh://") && env.DOCKER_HOST !== setting
        ? `the images would be built on another engine. Type \`export DOCKER_HOST=${setting}\` before \`pulumi\`, or \`./carbon pulumi\` in its place.`
        : undefined;
}

/**
 * Name of the Docker context that `docker` itself would use: DOCKER_HOST rules contexts out, then DOCKER_CONTEXT,
 * then `currentContext` of Docker's configuration file (https://docs.docker.com/engine/manage-resources/contexts/).
 * The daemon's own builder has the same name: `default`, `desktop-linux`, …
 */
export function currentDockerContext(machine: DockerEnvironment): string {
    const { env, readFile } = machine;
    if (env.DOCKER_HOST) {
        return "default";
    }
    if (env.DOCKER_CONTEXT) {
        return env.DOCKER_CONTEXT;
    }
    const text = readFile(dockerConfigFile(machine));
    return parsed(text, configuration)?.currentContext || "default";
}

/** Docker's configuration file, which may not be there. It has the user's logins. */
export function dockerConfigFile(machine: Pick<DockerEnvironment, "env" | "home">): string {
    return path.join(configFolder(machine), "config.json");
}

const configuration = z.looseObject({ currentContext: z.string().optional() });
const contextFile = z.looseObject({
    Endpoints: z.looseObject({ docker: z.looseObject({ Host: z.string().optional() }).optional() }),
});

/** Contexts lie under the SHA-256 of their name (docker/cli, cli/context/store). */
function hostOfContext(name: string, machine: DockerEnvironment): string | undefined {
    const id = createHash("sha256").update(name).digest("hex");
    const file = path.join(configFolder(machine), "contexts", "meta", id, "meta.json");
    const found = parsed(machine.readFile(file), contextFile);
    return found && (found.Endpoints.docker?.Host ?? "");
}

function configFolder({ env, home }: Pick<DockerEnvironment, "env" | "home">): string {
    return env.DOCKER_CONFIG || path.join(home, ".docker");
}

/** Undefined of what is no such document. */
function parsed<Schema extends z.ZodType>(
    text: string | undefined,
    schema: Schema,
): z.output<Schema> | undefined {
    try {
        return schema.parse(JSON.parse(text ?? ""));
    } catch {
        return undefined;
    }
}
