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
export function currentDockerContext({ env, home, readFile }: DockerEnvironment): string {
    if (env.DOCKER_HOST) {
        return "default";
    }
    if (env.DOCKER_CONTEXT) {
        return env.DOCKER_CONTEXT;
    }
    const text = readFile(path.join(env.DOCKER_CONFIG || path.join(home, ".docker"), "config.json"));
    return (text && currentContextOf(text)) || "default";
}

function currentContextOf(configuration: string): string | undefined {
    try {
        return JSON.parse(configuration).currentContext;
    } catch {
        return undefined;
    }
}
