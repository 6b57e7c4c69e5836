import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Settings } from "../../settings/parse";
import { lookUp } from "../../settings/registry";
import { buildImages } from "../buildImages";
import { docker, hasImage, helperLabel, lines, removeNetwork } from "../docker";
import { parseDocument } from "../documents";
import { Interrupted, UserError } from "../errors";
import { tagOf } from "../generations";
import { confinement, workspaceMount } from "../helperContainer";
import { printableLine } from "../printable";
import { run } from "../process";
import type { Session } from "../session";
import { suiteReferences } from "../suiteReferences";
import { type SwarmTask, task as taskSchema } from "./documents";
import { isReady, matches, nodeName } from "./placement";
import { swarmNodes } from "./services";

/** A node may have to fetch the image first, and share the registry's line with the others: a minute is 5.9 GB at 1 Gbit/s. */
const patienceMinutes = (nodes: number) => 15 + nodes;
const port = 8000;

/** What a node's container ends with. */
const notSame = 3;
const outOfReach = 4;

/**
 * What runs on each node, as the user of the settings: it looks for the mark that this engine has written into /workspace,
 * writes one of its own beside it, and fetches the mark from this engine over an overlay network like the stack's.
 */
const onNode = `
cd "/workspace/$FOLDER" && [ "$(cat mark)" = "$MARK" ] && echo "$NODE" > "$NODE" || exit ${notSame}
for _ in 1 2 3; do
    [ "$(timeout 5 bash -c 'exec 3<>"/dev/tcp/$PEER/${port}" && printf "GET /mark HTTP/1.0\\r\\n\\r\\n" >&3 && tail -n 1 <&3')" = "$MARK" ] && exit
    sleep 1
done
exit ${outOfReach}
`;

/**
 * Proves on every node that may run Spark workers that /workspace is this machine's, and that the node reaches this engine
 * over an overlay network. A short-lived service writes and reads marks there; nothing of it stays. Builds the images first
 * where the nodes have nothing to run it with. Nothing is asked where the settings want no service on a Swarm.
 *
 * @throws UserError naming the nodes where it is not so.
 */
export async function proveNodes(session: Session, settings: Settings): Promise<void> {
    const { swarmServices, sparkWorkerNodes, clusterEncryption } = settings;
    if (swarmServices.length === 0) {
        return;
    }
    const able = (await swarmNodes()).filter((node) => isReady(node) && matches(node, sparkWorkerNodes));
    const image = await proofImage(session, settings);
    const mark = randomBytes(12).toString("hex");
    const [folder, name] = [`.carbon-proof-${mark}`, proofName(session.stack)];
    session.output.note(`Asking ${able.map(nodeName).join(", ")} for /workspace and the network`);
    await removeProof(name);
    try {
        const encrypted = clusterEncryption === "network" ? ["--opt", "encrypted"] : [];
        const label = ["--label", `${helperLabel}=${session.stack}`];
        await docker(
            ...["network", "create", "--driver", "overlay", "--attachable"],
            ...[...label, ...encrypted, name],
        );
        // What a killed one has left is hours old, or another stack's.
        const old = "find . -maxdepth 1 -name '.carbon-proof-*' -mmin +180 -exec rm -rf {} +";
        await here(settings, image, `${old}; mkdir "${folder}" && echo ${mark} > "${folder}/mark"`);
        await docker(...serving(settings, name, image, folder));
        const tasks = await ask(session, settings, { name, image, folder, mark }, able.length);
        const seen = lines(await here(settings, image, `ls "${folder}"`));
        const problems = able.flatMap((node) => {
            const why = problemOf(settings, node.ID, tasks, seen);
            return why ? [`  ${nodeName(node)}: ${why}`] : [];
        });
        if (problems.length > 0) {
            throw new UserError(
                `Not every node of the Swarm can run Spark workers; nothing was deployed:\n${problems.join("\n")}`,
            );
        }
    } finally {
        await removeProof(name);
        await here(settings, image, `rm -rf "${folder}"`).catch(() => undefined);
    }
}

/** Of its service, container and network. Nothing of a stack's is called so, whatever its name: theirs begin with `carbon-`. */
export function proofName(stack: string): string {
    return `proof-carbon-${stack}`;
}

/** Removes what is left of a proof that was killed: its network is made first, and goes last. @returns its name. */
export async function removeLeftProof(stack: string): Promise<string[]> {
    const filter = `label=${helperLabel}=${stack}`;
    const networks = lines(await docker("network", "ls", "--format", "{{.Name}}", "--filter", filter));
    const left = networks.filter((name) => name === proofName(stack));
    for (const name of left) {
        await removeProof(name);
    }
    return left;
}

/** The compute image with its digest: nodes that have it fetch nothing. */
async function proofImage(session: Session, settings: Settings): Promise<string> {
    const references = suiteReferences(settings);
    const wanted = references.compute ?? references.base;
    const isHeld = settings.heldImages.base !== undefined;
    if (settings.images === "pull" && !isHeld) {
        session.output.note(`Pulling ${wanted} first, as the nodes are asked with it`);
        await docker("pull", "--quiet", wanted);
        return wanted;
    }
    const tag = tagOf(wanted);
    // An image that is here may have been built before there was a registry, or its push may have been cut off.
    const pushed = settings.push && !isHeld ? lookUp(tag) : undefined;
    if (!isHeld && ((pushed && "why" in pushed) || !(await hasImage(tag)))) {
        session.output.note("Building the images first, as the nodes are asked with them");
        const built = await buildImages(settings, session);
        return built.at(-1)?.ref ?? tag;
    }
    if (pushed && "digest" in pushed) {
        return `${tag}@${pushed.digest}`;
    }
    const digests = await docker("image", "inspect", "--format", '{{join .RepoDigests "\\n"}}', tag);
    const repository = tag.replace(/:[^:/]+$/, "");
    const digest = lines(digests).find((one) => one.startsWith(`${repository}@`));
    return digest ? `${tag}@${digest.split("@")[1]}` : tag;
}

/** Runs a line of shell in this engine's /workspace. */
function here(settings: Settings, image: string, line: string): Promise<string> {
    const alone = ["--rm", "--network", "none", "--workdir", "/workspace", "--entrypoint", "sh"];
    return docker(...hereRun(settings, "/workspace"), ...alone, image, "-c", line);
}

/** Arguments of `docker` for a container on this engine that has the stack's folder and nothing else. */
export function hereRun(
    { stack, uid, gid, workspaceDir }: Pick<Settings, "stack" | "uid" | "gid" | "workspaceDir">,
    mount: "/workspace" | "/workspace:ro",
): string[] {
    const own = ["--user", `${uid}:${gid}`, "--label", `${helperLabel}=${stack}`];
    return ["run", ...confinement, ...own, "--volume", `${workspaceDir}:${mount}`];
}

/** The mark, for whoever is on the network. */
function serving(settings: Settings, name: string, image: string, folder: string): string[] {
    const options = ["--detach", "--name", name, "--network", name, "--entrypoint", "python3"];
    return [...hereRun(settings, "/workspace:ro"), ...options, image, ...served(folder)];
}

function served(folder: string): string[] {
    return ["-m", "http.server", "--directory", `/workspace/${folder}`, String(port)];
}

/** Runs it once on every node. @returns its tasks when all have ended. */
async function ask(
    { signal }: Session,
    { sparkWorkerNodes, uid, gid, workspaceDir }: Settings,
    { name, image, folder, mark }: Record<"name" | "image" | "folder" | "mark", string>,
    nodes: number,
): Promise<SwarmTask[]> {
    const constraints = sparkWorkerNodes.flatMap((one) => ["--constraint", one]);
    const env = [`FOLDER=${folder}`, `MARK=${mark}`, `PEER=${name}`, "NODE={{.Node.ID}}"];
    await docker(
        ...["service", "create", "--detach", "--no-resolve-image", "--with-registry-auth", "--quiet"],
        ...["--name", name],
        ...["--mode", "global", "--restart-condition", "none", "--network", name, "--endpoint-mode", "dnsrr"],
        ...["--user", `${uid}:${gid}`, ...workspaceMount(workspaceDir)],
        ...constraints,
        ...env.flatMap((one) => ["--env", one]),
        ...["--entrypoint", "sh", image, "-c", onNode],
    );
    const end = Date.now() + patienceMinutes(nodes) * 60_000;
    for (;;) {
        const args = ["--no-trunc", "--format", "{{json .}}", name];
        const tasks = lines(await docker("service", "ps", ...args)).map((line) =>
            parseDocument("What `docker service ps` says", taskSchema, line, "Type: docker node ls"),
        );
        // Of a node that is lost meanwhile Swarm wants it to end, and hears no more.
        const isOver =
            tasks.length > 0 &&
            tasks.every(
                ({ CurrentState, DesiredState }) => DesiredState === "Shutdown" || ended.test(CurrentState),
            );
        if (isOver || Date.now() > end) {
            return tasks;
        }
        await sleep(500, undefined, { signal }).catch(() => {
            throw new Interrupted();
        });
    }
}

const ended = /^(Complete|Failed|Rejected|Shutdown|Orphaned|Remove)/;

/** What is the matter on a node; nothing where all is well. */
function problemOf(
    { workspaceDir, clusterEncryption }: Settings,
    node: string,
    tasks: readonly SwarmTask[],
    seen: readonly string[],
): string | undefined {
    // A task of a global service has its node's id in its name.
    const task = tasks.find(({ Name }) => Name.includes(`.${node}`));
    const error = printableLine(task?.Error ?? "");
    if (error.includes(`(${outOfReach})`)) {
        const kernel =
            clusterEncryption === "network"
                ? ", or one of the kernels has no IPsec (then set carbon:clusterEncryption to spark, which encrypts Spark's own traffic alone)"
                : "";
        return `it does not reach this engine over an overlay network: a firewall stops UDP port 4789, IP protocol 50, or TCP and UDP port 7946${kernel}`;
    }
    if (error.includes(`(${notSame})`) || error.includes("bind source path does not exist")) {
        return `${workspaceDir} is not this machine's folder there. Mount it at the same place on every node, by NFS for example`;
    }
    if (error) {
        return error;
    }
    if (!task?.CurrentState.startsWith("Complete")) {
        return `it has not answered (${printableLine(task?.CurrentState ?? "no container was started")})`;
    }
    return seen.includes(node) ? undefined : `what it writes to ${workspaceDir} does not arrive here`;
}

/** Whatever is left of it, also of one that was interrupted. */
async function removeProof(name: string): Promise<void> {
    await run("docker", ["service", "rm", name]);
    await run("docker", ["rm", "--force", name]);
    await removeNetwork(name).catch(() => undefined);
}
