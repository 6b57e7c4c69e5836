import { setTimeout as sleep } from "node:timers/promises";
import { everyVolume } from "../catalogue";
import { volumeName } from "../catalogue/names";
import { currentDockerContext } from "../settings/dockerContext";
import { thisMachine } from "../settings/machine";
import {
    type ContainerDetails,
    containers,
    type DockerInfo,
    dockerInfo as infoSchema,
    parseDocument,
} from "./documents";
import { UserError } from "./errors";
import { type ProcessResult, run } from "./process";
import { explainServer } from "./server/explain";
import { currentServer } from "./server/reach";

export type { ContainerDetails, DockerInfo };

/** Label that every container of a stack carries. */
export const stackLabel = "carbon.stack";
/** Label of containers that a command makes for a moment, with the stack's name. */
export const helperLabel = "carbon.helper";
/** Label with the service's name. */
export const serviceLabel = "carbon.service";
/** Label with the name of the user who made it. */
export const userLabel = "carbon.user";

/**
 * Runs the `docker` command, which knows the user's context, host and logins.
 *
 * @throws UserError with Docker's own last words when it fails.
 */
export async function docker(...args: string[]): Promise<string> {
    const result = await run("docker", args);
    if (result.exitCode !== 0) {
        throw new UserError(describeFailure(args, result));
    }
    return result.stdout;
}

function describeFailure(args: string[], result: ProcessResult): string {
    const server = currentServer();
    if (isUnreachable(result) && server) {
        return explainServer(result.stderr, server);
    }
    return isUnreachable(result)
        ? `Docker does not answer (${result.reason}). ${startDockerAdvice()}`
        : `docker ${args.slice(0, 2).join(" ")} failed: ${result.reason}`;
}

function isUnreachable({ exitCode, stderr }: ProcessResult): boolean {
    return (
        exitCode === 127 ||
        /cannot connect to the docker daemon|error during connect|permission denied.*docker/i.test(stderr)
    );
}

/** How to get an engine to answer. */
export function startDockerAdvice(): string {
    return process.platform === "darwin" ? "Start Docker Desktop, then try again." : "Type: make setup";
}

/**
 * What the engine says of itself.
 *
 * @throws UserError when none answers.
 */
export async function dockerInfo(): Promise<DockerInfo> {
    // The client prints a document even where no engine answers; the complaint is inside.
    const result = await run("docker", ["info", "--format", "{{json .}}"], { timeout: 20_000 });
    const info = result.stdout.trim().startsWith("{")
        ? parseDocument("What `docker info` says", infoSchema, result.stdout, strangeDocker)
        : undefined;
    if (!info?.ServerVersion) {
        const server = currentServer();
        const said = info?.ServerErrors?.[0] ?? result.reason;
        throw new UserError(server ? explainServer(said, server) : said);
    }
    return info;
}

/** Whether `docker` talks to an engine over a socket of this machine's own. That may still lead into a virtual machine. */
export function isLocalEngine(env: NodeJS.ProcessEnv = process.env): boolean {
    return env.DOCKER_HOST
        ? env.DOCKER_HOST.startsWith("unix:")
        : currentDockerContext(thisMachine(process.cwd())) === "default";
}

/** True when images are kept by containerd, which can hold several platforms under one tag, and digests. */
export function hasContainerdStore(info: DockerInfo): boolean {
    return info.DriverStatus?.some(([, value]) => value.startsWith("io.containerd.snapshotter")) ?? false;
}

/** Every container that carries the stack's label, running or not. */
export async function stackContainers(stack: string): Promise<ContainerDetails[]> {
    return inspectContainers(`label=${stackLabel}=${stack}`, `label=${serviceLabel}`);
}

/** Every container there is, whoever made it. */
export function everyContainer(): Promise<ContainerDetails[]> {
    return inspectContainers();
}

/** Every container that is running or paused, and so holds its ports, whoever made it. */
export function runningContainers(): Promise<ContainerDetails[]> {
    return inspectContainers("status=running", "status=paused");
}

async function inspectContainers(...filters: string[]): Promise<ContainerDetails[]> {
    const conditions = filters.flatMap((filter) => ["--filter", filter]);
    const ids = lines(await docker("ps", "--all", "--quiet", "--no-trunc", ...conditions));
    if (ids.length === 0) {
        return [];
    }
    const args = ["inspect", "--type", "container", ...ids];
    const result = await run("docker", args);
    // It shows the others where one is gone since it was listed.
    if (result.exitCode !== 0 && !/no such (container|object)/i.test(result.stderr)) {
        throw new UserError(describeFailure(args, result));
    }
    const source = "What `docker inspect` says of the containers";
    return parseDocument(source, containers, result.stdout, strangeDocker);
}

const strangeDocker = "Is `docker` on PATH Docker's own command? `docker version` shows it.";

/** The container's name without Docker's leading slash. */
export function nameOf(container: ContainerDetails): string {
    return container.Name.replace(/^\//, "");
}

/** Those of the names that exist as volumes. */
export async function existingVolumes(names: readonly string[]): Promise<string[]> {
    const all = lines(await docker("volume", "ls", "--quiet"));
    return names.filter((name) => all.includes(name));
}

/** The stack's volumes that exist, also those of services that are no longer chosen. */
export function stackVolumes(stack: string): Promise<string[]> {
    return existingVolumes(everyVolume.map(({ name }) => volumeName(stack, name)));
}

/** True when the image is in the local store. */
export async function hasImage(reference: string): Promise<boolean> {
    return (await run("docker", ["image", "inspect", "--format", "{{.Id}}", reference])).exitCode === 0;
}

/**
 * Removes a network; one that is gone is fine. A Swarm takes its own away some moments after their services, and lists them
 * for as long.
 *
 * @throws UserError with Docker's reason where it is still there after ten seconds.
 */
export async function removeNetwork(network: string): Promise<void> {
    for (const end = Date.now() + 10_000; ; await sleep(500)) {
        const args = ["network", "rm", network];
        const result = await run("docker", args);
        if (result.exitCode === 0 || /not found/i.test(result.stderr)) {
            return;
        }
        if (Date.now() > end) {
            throw new UserError(describeFailure(args, result));
        }
    }
}

/** Non-empty lines. */
export function lines(text: string): string[] {
    return text.split("\n").filter((line) => line.trim());
}
