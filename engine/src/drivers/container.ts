import type Docker from "dockerode";
import { pack } from "tar-stream";
import { type Change, diffProps } from "../diff";
import {
    attempt,
    attemptRemoval,
    CONFLICT,
    explain,
    NOT_MODIFIED,
    unless,
    unlessMissing,
} from "../docker/calls";
import { EngineError, messageOf } from "../engine-error";
import type { ResourceState } from "../state";
import {
    hasUnknown,
    hoistSecrets,
    isObject,
    mapProps,
    type Props,
    reveal,
    Secret,
    type Value,
    withoutBookkeeping,
} from "../values";
import { waitHealthy } from "./container-health";
import {
    CONTAINER_SHAPE,
    containerDefaults,
    containerSpec,
    deviceRequest,
    memoryLimits,
    portKey,
} from "./container-spec";
import { type Context, type Created, checkNamed, type Driver, objects, text } from "./driver";
import { ensureImage } from "./pull";

const TYPE = "docker:index/container:Container";

/**
 * What the provider changes on a living container, or only in its state (`healthcheck`, `init`, the waiting): a
 * change of anything else makes a new one.
 */
const NOT_REPLACING = new Set(
    (
        "restart memory memorySwap mustRun start wait waitTimeout healthcheck init destroyGraceSeconds " +
        "removeVolumes containerReadRefreshTimeoutMilliseconds"
    ).split(" "),
);
/** Terraform sets: their order says nothing. */
const SETS = ["envs", "uploads", "labels", "networksAdvanced", "volumes", "hosts", "securityOpts", "devices"];
/**
 * What a read compares with reality. The real provider reads more (`capabilities`, `securityOpts`, `logDriver`,
 * `logOpts`, `devices`, `gpus`), but only of what Docker never changes on a living container.
 */
const READ = "name image hostname restart memory memorySwap shmSize networkMode mustRun cpus ports".split(
    " ",
);

/** A container. As the real provider does, it pulls an image that is not here. */
export const container: Driver = {
    check(inputs) {
        checkNamed(TYPE, inputs, CONTAINER_SHAPE, {});
        if (typeof inputs.gpus === "string") {
            deviceRequest(inputs.gpus);
        }
        return hoistSecrets(containerDefaults(inputs));
    },
    diff(old, news) {
        const replaces = ({ path }: Change) => !NOT_REPLACING.has(String(path[0]));
        const changes = differences(old, news).map((change) => ({ ...change, replace: replaces(change) }));
        return { changes, deleteBeforeReplace: true };
    },
    create,
    update,
    read: (old, context) => observe(String(old.id), old.inputs, old.outputs, context),
    delete: async (old, context) => remove(String(old.id), old.inputs, context),
    removeLeftover,
};

/** What differs from the old inputs or, as last read, from reality; each property once. */
function differences(old: ResourceState, news: Props): Change[] {
    const changes = [...diffProps(comparable(old.inputs), comparable(news)), ...drift(old.outputs, news)];
    return [...new Map(changes.map((change) => [change.path.join("\0"), change])).values()];
}

/** Inputs without bookkeeping, sets in a fixed order. */
function comparable(inputs: Props): Props {
    const clean = withoutBookkeeping(containerDefaults(inputs));
    for (const key of SETS.filter((name) => clean[name] !== undefined)) {
        clean[key] = sorted(clean[key] ?? null);
    }
    const capabilities = clean.capabilities;
    if (isObject(capabilities)) {
        clean.capabilities = mapProps(capabilities, sorted);
    }
    return clean;
}

function sorted(value: Value): Value {
    const key = (item: Value) => JSON.stringify(reveal(item));
    if (value instanceof Secret) {
        return new Secret(sorted(value.value));
    }
    return Array.isArray(value) ? [...value].sort((a, b) => (key(a) < key(b) ? -1 : 1)) : value;
}

/** Where reality, as last read, differs from what the program asks for. */
function drift(outputs: Props, news: Props): Change[] {
    const seen: Props = { networks: networkNames(outputs) };
    const wanted: Props = { networks: networkNames(news) };
    for (const key of READ.filter((name) => news[name] !== undefined && (outputs[name] ?? null) !== null)) {
        seen[key] = withoutBookkeeping(outputs[key] ?? null);
        wanted[key] = withoutBookkeeping(news[key] ?? null);
    }
    return diffProps(seen, wanted);
}

/** Of the networks only who is joined can be told from outside; unknown ones are the inputs' diff's affair. */
function networkNames(props: Props): Value {
    const networks = reveal(props.networksAdvanced ?? []);
    return Array.isArray(networks) && !hasUnknown(networks)
        ? (networks as Props[]).map((n) => String(n.name)).sort()
        : [];
}

async function create(inputs: Props, context: Context): Promise<Created> {
    const plain = withoutBookkeeping(reveal(inputs));
    const name = String(plain.name);
    const made = await createNamed(name, plain, context);
    const { id } = made;
    const outputs = { ...withoutBookkeeping(inputs), id };
    try {
        await attachNetworks(made, plain, context);
        await upload(made, objects(plain, "uploads"), name);
        await start(made, plain, context);
    } catch (error) {
        return { id, outputs, failure: messageOf(error) };
    }
    return { id, outputs: (await observe(id, inputs, outputs, context)) ?? outputs };
}

async function createNamed(name: string, inputs: Props, context: Context): Promise<Docker.Container> {
    await ensureImage(
        String(inputs.image),
        `The container ${name} cannot be created, because its image`,
        context,
    );
    const made = await attempt(`The container ${name} cannot be created`, () =>
        unless(CONFLICT, () => context.docker().createContainer(containerSpec(inputs))),
    );
    if (!made) {
        throw new EngineError(
            `There is a container ${name} already that is not part of this stack: remove it with ` +
                `"docker rm -f ${name}".`,
        );
    }
    return made;
}

async function removeLeftover(inputs: Props, context: Context): Promise<void> {
    const name = String(reveal(inputs.name ?? null));
    const found = await unlessMissing(() => context.docker().getContainer(name).inspect());
    if (found) {
        context.message(`removing the container ${name} that an interrupted run left behind`);
        await remove(found.Id, {}, context);
    }
}

/** The provider creates on the default bridge and then moves the container over. */
async function attachNetworks(made: Docker.Container, inputs: Props, context: Context): Promise<void> {
    const networks = objects(inputs, "networksAdvanced");
    if (networks.length === 0) {
        return;
    }
    if (inputs.networkMode === "bridge") {
        await attempt("The default network cannot be left", () =>
            context.docker().getNetwork("bridge").disconnect({ Container: made.id }),
        );
    }
    for (const { name, aliases = [] } of networks) {
        const EndpointConfig = { Aliases: aliases as string[], IPAMConfig: {}, DriverOpts: {} };
        await attempt(`The network ${name} cannot be joined`, () =>
            context.docker().getNetwork(String(name)).connect({ Container: made.id, EndpointConfig }),
        );
    }
}

/** Puts files into the container before it starts. */
async function upload(made: Docker.Container, files: Props[], name: string): Promise<void> {
    for (const { file, content, permissions } of files) {
        const archive = pack();
        const mode = Number.parseInt(String(permissions ?? "0644"), 8);
        archive.entry({ name: String(file), mode, mtime: new Date() }, String(content));
        archive.finalize();
        await attempt(`The file ${file} cannot be put into ${name}`, () =>
            made.putArchive(archive as unknown as NodeJS.ReadableStream, { path: "/" }),
        );
    }
}

async function start(made: Docker.Container, inputs: Props, context: Context): Promise<void> {
    try {
        await unless(NOT_MODIFIED, () => startTwice(made));
    } catch (error) {
        throw new EngineError(await explainStart(error, inputs, context));
    }
    await waitHealthy(made, inputs, context);
}

/** On a busy machine runc at times loses its own child while it starts; the second try then goes well. */
async function startTwice(made: Docker.Container): Promise<void> {
    try {
        await made.start();
    } catch (error) {
        if (!explain(error).includes("waiting for init preliminary setup")) {
            throw error;
        }
        await made.start();
    }
}

const PORT_TAKEN =
    /(?:Bind for |listen tcp4? |exposing port \w+ )[^\s]*?:(\d+).*(?:already allocated|already in use)/;

/** Names the port and who holds it, when that is why a container does not start. */
async function explainStart(error: unknown, inputs: Props, context: Context): Promise<string> {
    const said = explain(error);
    const port = PORT_TAKEN.exec(said)?.[1];
    if (!port) {
        return `The container ${inputs.name} cannot be started: ${said}`;
    }
    const holders = await context.docker().listContainers({ filters: { publish: [port] } });
    const holder = holders[0]?.Names[0]?.slice(1);
    const remedy = holder
        ? `the container ${holder} holds it: stop it with "docker stop ${holder}", or choose another port`
        : `another program on this machine holds it: stop that (see "lsof -i :${port}"), or choose another port`;
    return `The container ${inputs.name} cannot be started, because port ${port} is taken; ${remedy}.`;
}

/** Restart policy and memory limits change in place; a stopped or paused container runs again. */
async function update(old: ResourceState, news: Props, context: Context): Promise<Props> {
    const plain = withoutBookkeeping(reveal(news));
    const living = context.docker().getContainer(String(old.id));
    const changed = new Set(differences(old, news).map(({ path }) => path[0]));
    if (drift(old.outputs, news).some(({ path }) => path[0] === "mustRun")) {
        await resume(living, plain, context);
    }
    if (["restart", "memory", "memorySwap"].some((key) => changed.has(key))) {
        await attempt(`The container ${plain.name} cannot be updated`, () =>
            living.update({
                RestartPolicy: { Name: text(plain, "restart") ?? "no" },
                Memory: 0,
                ...memoryLimits(plain),
            }),
        );
    }
    const outputs = { ...withoutBookkeeping(news), id: living.id };
    return (await observe(living.id, news, outputs, context)) ?? outputs;
}

async function resume(living: Docker.Container, inputs: Props, context: Context): Promise<void> {
    const { State } = await attempt(`The container ${inputs.name} cannot be inspected`, () =>
        living.inspect(),
    );
    if (State.Paused) {
        await attempt(`The container ${inputs.name} cannot be unpaused`, () => living.unpause());
    }
    await start(living, inputs, context);
}

/**
 * The outputs with what the container is really like; undefined when it is gone. The real provider misses a paused
 * container; here it counts as not running.
 */
async function observe(
    id: string,
    given: Props,
    outputs: Props,
    context: Context,
): Promise<Props | undefined> {
    const found = await unlessMissing(() => context.docker().getContainer(id).inspect());
    if (!found) {
        return undefined;
    }
    const { HostConfig: host, State: state, Config: config } = found;
    const inputs = withoutBookkeeping(containerDefaults(reveal(given)));
    const [ports, networks] = [objects(inputs, "ports"), objects(inputs, "networksAdvanced")];
    const cpus = (host.NanoCpus ?? 0) / 1e9;
    return {
        ...outputs,
        name: found.Name.slice(1),
        image: inputs.image === found.Image ? found.Image : config.Image,
        hostname: config.Hostname,
        restart: host.RestartPolicy?.Name || "no",
        memory: mebibytes(host.Memory),
        memorySwap: mebibytes(host.MemorySwap),
        shmSize: mebibytes(host.ShmSize),
        networkMode: host.NetworkMode ?? "",
        mustRun: state.Running && !state.Paused,
        ...(cpus > 0 && { cpus: Number(inputs.cpus) === cpus ? (inputs.cpus as string) : String(cpus) }),
        ...(state.Running && ports.length > 0 && { ports: ports.filter((port) => isPublished(found, port)) }),
        ...(state.Running &&
            networks.length > 0 && { networksAdvanced: networks.filter((n) => isJoined(found, n)) }),
    };
}

function mebibytes(bytes: number | undefined): number {
    return bytes !== undefined && bytes > 0 ? Math.floor(bytes / (1024 * 1024)) : (bytes ?? 0);
}

/** All published ports vanish when a network is lost. */
function isPublished({ NetworkSettings }: Docker.ContainerInspectInfo, port: Props): boolean {
    return (NetworkSettings.Ports[portKey(port)] ?? []).some(
        ({ HostIp, HostPort }) =>
            HostIp === port.ip && (port.external === undefined || HostPort === String(port.external)),
    );
}

function isJoined({ NetworkSettings }: Docker.ContainerInspectInfo, network: Props): boolean {
    return Object.entries(NetworkSettings.Networks).some(([name, { NetworkID }]) =>
        [name, NetworkID].includes(String(network.name)),
    );
}

async function remove(id: string, inputs: Props, context: Context): Promise<void> {
    const doomed = context.docker().getContainer(id);
    const grace = Number(reveal(inputs.destroyGraceSeconds ?? 0));
    await attemptRemoval(`The container ${id.slice(0, 12)} cannot be removed`, async () => {
        if (grace > 0) {
            await unless(NOT_MODIFIED, () => doomed.stop({ t: grace }));
        }
        await doomed.remove({ force: true, v: true });
    });
}
