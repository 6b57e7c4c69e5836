import { PassThrough, Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import Docker from "dockerode";
import { execa } from "execa";
import { Client } from "ssh2";
import { pack } from "tar-stream";
import { boundedLog, everyService } from "../../catalogue";
import {
    documentPath,
    launcherCards,
    type ServicesDocument,
    servicesDocument,
} from "../../catalogue/document";
import { readImageJson } from "./base-image";

/** The engine that the tests use: the one of the environment, as for the docker command. */
export const docker = new Docker();

const secretsFolder = "/run/carbon/secrets";

/** Passwords that the tests hand over, by file name; of the form that the suite generates. */
export const secrets = {
    ssh: "SshPasswordSshPassword24",
    vnc: "VncPass8",
    desktop: "DesktopPasswordDesktop24",
    postgres: "PostgresPasswordPostgr24",
    redis: "RedisPasswordRedisPass24",
    mosquitto: "MosquittoPasswordMosqu24",
    jupyter: "JupyterTokenJupyterTok24",
    "code-server": "CodeServerPasswordCode24",
    spark: "SparkSecretSparkSecret24",
    llm: "LlmApiKeyLlmApiKeyLlmK24",
} as const;

/** What a container of one of the suite's own images is started with. */
export interface RoleArgs {
    image: string;
    role: string;
    /** Stands in for the image's own entrypoint. */
    entrypoint?: string[];
    /** Files in /run/carbon/secrets, by name. Default: those of {@link secrets} that the suite hands over. */
    secrets?: Record<string, string>;
    /** More files that are there before the start, by path; readable by all. */
    files?: Record<string, string>;
    /** What the container is told of the stack. Default: no TLS, and no service but the role and what it needs. */
    stack?: {
        tls?: boolean;
        tlsNames?: string[];
        services?: readonly string[];
        appPorts?: readonly { port: number; published: number; forward: number }[];
        /** Host ports of the pages that the launcher has cards for, by port name. Default: no cards. */
        ports?: Record<string, number>;
        /** The kernels' gateway on this machine, as the document has it; its name leads there from the container. */
        gpu?: { route: "host"; url: string; stack: string };
    };
    env?: Record<string, string>;
    /** The same, readable by root alone. */
    rootFiles?: Record<string, string>;
    /** Volumes and bind mounts, as `docker run -v` takes them. */
    binds?: string[];
    /** Container ports to publish on free ports of 127.0.0.1. */
    ports?: number[];
    /** Its memory in bytes. Default: no limit. */
    memory?: number;
    /** Network that it joins, under this host name. */
    host?: { network: Docker.Network; name: string };
}

/** What a command in a container did: exit code, and stdout and stderr as they came. */
export interface ExecResult {
    code: number;
    output: string;
}

const started = new Set<Docker.Container>();
const volumes = new Set<string>();
const networks = new Set<Docker.Network>();

/**
 * Starts a role as the suite does: under the catalogue's limits, with its secrets and the document of services in the
 * container before it starts.
 */
export async function startRole(args: RoleArgs): Promise<Docker.Container> {
    const published = Object.fromEntries(
        (args.ports ?? []).map((port) => [`${port}/tcp`, [{ HostIp: "127.0.0.1", HostPort: "" }]]),
    );
    const container = await docker.createContainer({
        Image: args.image,
        Cmd: [args.role],
        ...(args.entrypoint && { Entrypoint: args.entrypoint }),
        Env: Object.entries(args.env ?? {}).map(([name, value]) => `${name}=${value}`),
        ExposedPorts: Object.fromEntries(Object.keys(published).map((port) => [port, {}])),
        HostConfig: {
            Binds: args.binds ?? [],
            PortBindings: published,
            NetworkMode: args.host?.network.id,
            ...(args.stack?.gpu && { ExtraHosts: [`${new URL(args.stack.gpu.url).hostname}:host-gateway`] }),
            ...limits(args.role),
            ...(args.memory && { Memory: args.memory, MemorySwap: args.memory }),
        },
        ...(args.host && {
            Hostname: args.host.name,
            NetworkingConfig: {
                EndpointsConfig: { [args.host.network.id]: { Aliases: [args.host.name] } },
            },
        }),
    });
    started.add(container);
    const document = describeStack(args);
    const given = args.secrets ?? secretsIn(document);
    const files = Object.entries(given).map(([name, content]) => secretFile(name, content));
    const described = { path: documentPath, mode: 0o444, content: JSON.stringify(document) };
    const uploaded = (texts: Record<string, string> = {}, mode: number) =>
        Object.entries(texts).map(([path, content]) => ({ path, mode, content }));
    const more = [...uploaded(args.files, 0o444), ...uploaded(args.rootFiles, 0o400)];
    await container.putArchive(archive([described, ...files, ...more]), { path: "/" });
    await container.start();
    return container;
}

/** Starts a role as {@link startRole} does, and waits until the image's own health check is content. */
export async function startHealthy(args: RoleArgs): Promise<Docker.Container> {
    const container = await startRole(args);
    await untilHealthy(container, 120);
    return container;
}

function describeStack({ image, role, stack = {} }: RoleArgs): ServicesDocument {
    const { tls = false, tlsNames = [], services = [], appPorts, ports, gpu } = stack;
    const { image: kind, toolsets } = readImageJson(image);
    const needed = everyService.find(({ name }) => name === role)?.needs;
    const choice = { tls, compute: kind === "compute", toolsets };
    const specs = everyService.filter(({ name }) => [role, needed, ...services].includes(name));
    return {
        ...servicesDocument({ stack: "test", tlsNames, ...choice }, specs),
        appPorts,
        cards: ports && launcherCards(specs.slice(1), choice, ports),
        ...(gpu && { gpu }),
    };
}

function secretsIn({ services }: ServicesDocument): Record<string, string> {
    const names = Object.values(services).flatMap((service) => Object.keys(service.secrets));
    return Object.fromEntries(Object.entries(secrets).filter(([name]) => names.includes(name)));
}

/** What the suite lets a container of the role do. */
function limits(role: string): Docker.HostConfig {
    const spec = everyService.find(({ name }) => name === role);
    return spec
        ? {
              CapDrop: ["ALL"],
              CapAdd: spec.capabilities,
              SecurityOpt: spec.noNewPrivileges ? ["no-new-privileges:true"] : [],
              PidsLimit: spec.processes,
              LogConfig: { Type: "json-file", Config: boundedLog },
          }
        : {};
}

/** Replaces a secret in a container; it counts from the next start. */
export async function putSecret(container: Docker.Container, name: string, value: string): Promise<void> {
    await container.putArchive(archive([secretFile(name, value)]), { path: "/" });
}

/** A file that is put into a container. */
interface UploadedFile {
    path: string;
    mode: number;
    content: string;
}

function secretFile(name: string, content: string): UploadedFile {
    return { path: `${secretsFolder}/${name}`, mode: 0o400, content };
}

function archive(files: UploadedFile[]): Readable {
    const tar = pack();
    for (const { path, mode, content } of files) {
        tar.entry({ name: path.slice(1), mode }, content);
    }
    tar.finalize();
    return Readable.from(tar);
}

/** Makes a named volume that goes when the tests are over. */
export async function makeVolume(): Promise<string> {
    const { name } = await docker.createVolume({ Labels: { "carbon.test": "base" } });
    volumes.add(name);
    return name;
}

/** Makes a network that goes when the tests are over; an `internal` one leads nowhere else, not even to the host. */
export async function makeNetwork({ internal = false } = {}): Promise<Docker.Network> {
    const network = await docker.createNetwork({
        Name: `carbon-test-base-${process.pid}-${networks.size}`,
        Internal: internal,
    });
    networks.add(network);
    return network;
}

/** Removes a container now, running or not. */
export async function remove(container: Docker.Container): Promise<void> {
    started.delete(container);
    await container.remove({ force: true, v: true });
}

/** Removes every container, volume and network that the tests made. */
export async function removeAll(): Promise<void> {
    await Promise.all([...started].map(remove));
    await Promise.all([...volumes].map((name) => docker.getVolume(name).remove()));
    await Promise.all([...networks].map((network) => network.remove()));
    volumes.clear();
    networks.clear();
}

/** Runs a command in a container, as root unless another user is named. */
export async function exec(
    container: Docker.Container,
    command: string[],
    user = "root",
    env: string[] = [],
): Promise<ExecResult> {
    const process = await container.exec({
        Cmd: command,
        User: user,
        Env: env,
        AttachStdout: true,
        AttachStderr: true,
    });
    const stream = await process.start({});
    const merged = new PassThrough();
    docker.modem.demuxStream(stream, merged, merged);
    stream.on("end", () => merged.end());
    const output = await text(merged);
    const { ExitCode } = await process.inspect();
    return { code: ExitCode ?? -1, output };
}

/** Runs a command that must succeed, and returns what it printed, trimmed. */
export async function run(container: Docker.Container, command: string[], user?: string): Promise<string> {
    const { code, output } = await exec(container, command, user);
    if (code !== 0) {
        throw new Error(`${command.join(" ")} exited ${code}: ${output}`);
    }
    return output.trim();
}

/** Waits until `condition` holds, looking every 200 ms; fails after `seconds` with what it waited for. */
export async function until(what: string, seconds: number, condition: () => Promise<boolean>): Promise<void> {
    const end = Date.now() + seconds * 1000;
    while (!(await condition())) {
        if (Date.now() > end) {
            throw new Error(`${what}: not within ${seconds} s`);
        }
        await sleep(200);
    }
}

/** Waits until the image's own health check is content. */
export async function untilHealthy(container: Docker.Container, seconds = 60): Promise<void> {
    let last = "";
    try {
        await until("healthy", seconds, async () => {
            const { code, output } = await exec(container, ["carbon-health"]);
            last = output;
            return code === 0;
        });
    } catch (error) {
        throw new Error(`${error}: ${last}\n${await logs(container)}`);
    }
}

/** The container's log so far. */
export async function logs(container: Docker.Container): Promise<string> {
    const { all } = await execa("docker", ["logs", container.id], { all: true });
    return all;
}

/** Stops a container and returns the seconds it took. */
export async function stop(container: Docker.Container): Promise<number> {
    const begin = Date.now();
    await container.stop({ t: 30 });
    return (Date.now() - begin) / 1000;
}

/** The host port that a container's port is published on. */
export async function hostPort(container: Docker.Container, port: number): Promise<number> {
    const { NetworkSettings } = await container.inspect();
    const published = NetworkSettings.Ports[`${port}/tcp`]?.[0]?.HostPort;
    if (!published) {
        throw new Error(`port ${port} is not published`);
    }
    return Number(published);
}

/** Logs in over SSH with a password and returns what `command` prints; rejects when the login is refused. */
export function ssh(port: number, username: string, password: string, command: string): Promise<string> {
    return new Promise((resolve, reject) => {
        const client = new Client();
        client.on("error", reject);
        client.on("ready", () => {
            client.exec(command, (error, channel) => {
                if (error) {
                    reject(error);
                    return;
                }
                text(channel)
                    .then((output) => resolve(output.trim()), reject)
                    .finally(() => client.end());
            });
        });
        client.connect({ host: "127.0.0.1", port, username, password, readyTimeout: 20_000 });
    });
}
