import * as path from "node:path";

/** What the current Docker context depends on. */
export interface DockerEnvironment {
    env: Record<string, string | undefined>;
    home: string;
    readFile(file: string): string | undefined;
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
    return (text && currentContextOf(text)) || "default";
}

/** Docker's configuration file, which may not be there. It has the user's logins. */
export function dockerConfigFile({ env, home }: Pick<DockerEnvironment, "env" | "home">): string {
    return path.join(env.DOCKER_CONFIG || path.join(home, ".docker"), "config.json");
}

function currentContextOf(configuration: string): string | undefined {
    try {
        return JSON.parse(configuration).currentContext;
    } catch {
        return undefined;
    }
}
