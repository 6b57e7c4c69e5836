import { contentLabel } from "../../catalogue/images";
import { networkName } from "../../catalogue/names";
import { type ContainerDetails, docker, everyContainer, lines, stackLabel } from "../docker";
import { parseNetworks } from "../documents";
import { run } from "../process";
import type { SwarmServiceDetails } from "../swarm/documents";
import { isRunning, stackSecrets, stackSwarmServices, tasksOf } from "../swarm/services";
import type { Expected } from "./expected";

/** A network that is the stack's by its label, or has its name. */
export interface FoundNetwork {
    id: string;
    name: string;
    /** Value of the label with the stack's name; empty where it has none. */
    stack: string;
    /** Only of one with the stack's name: when it was made (ISO 8601), and its address range. */
    created?: string;
    subnet?: string;
}

/** What Docker has. */
export interface Found {
    /** Every container, whoever made it. */
    containers: ContainerDetails[];
    networks: FoundNetwork[];
    /** Services of a Swarm that carry the stack's label, and of each the number of its containers that run. */
    services: (SwarmServiceDetails & { running: number })[];
    /** Secrets of a Swarm that carry the stack's label. */
    secrets: { id: string; name: string }[];
    /** Names of all volumes. */
    volumes: string[];
    /** Of each image of {@link Expected}, by tag, or by its digest where it is pulled; absent where Docker does not say. */
    images: Map<string, "there" | "moved" | "missing">;
}

/** Looks at what Docker has of a stack. */
export async function look(stack: string, { images, pulls }: Expected): Promise<Found> {
    const [containers, networks, services, secrets, volumes, states] = await Promise.all([
        everyContainer(),
        findNetworks(stack),
        findServices(stack),
        stackSecrets(stack),
        docker("volume", "ls", "--quiet").then(lines),
        Promise.all([...images.map(imageState), ...pulls.map(pullState)]),
    ]);
    return { containers, networks, services, secrets, volumes, images: new Map(states) };
}

async function findServices(stack: string): Promise<Found["services"]> {
    const services = await stackSwarmServices(stack);
    return Promise.all(
        services.map(async (service) => ({
            ...service,
            running: (await tasksOf(service.ID)).filter(isRunning).length,
        })),
    );
}

async function findNetworks(stack: string): Promise<FoundNetwork[]> {
    const format = `{{.ID}}\t{{.Name}}\t{{.Label "${stackLabel}"}}`;
    const networks = lines(await docker("network", "ls", "--no-trunc", "--format", format))
        .map((line) => line.split("\t"))
        .map(([id = "", name = "", owner = ""]) => ({ id, name, stack: owner }))
        .filter(({ name, stack: owner }) => owner === stack || name === networkName(stack));
    if (networks.length === 0) {
        return [];
    }
    const text = await docker("network", "inspect", ...networks.map(({ id }) => id));
    const details = parseNetworks(text);
    return networks.map((network) => {
        const detail = details.find(({ Id }) => Id === network.id);
        return { ...network, created: detail?.Created, subnet: detail?.IPAM?.Config?.[0]?.Subnet };
    });
}

async function pullState({ name }: Expected["pulls"][number]): Promise<[string, "there" | "missing"]> {
    const { exitCode, stderr } = await run("docker", ["image", "inspect", "--format", "{{.Id}}", name]);
    return [name, exitCode !== 0 && /no such image/i.test(stderr) ? "missing" : "there"];
}

/** Whether the image under the tag is the one that the tag says, as its label has it: a tag can be moved. */
async function imageState({
    tags,
    labels,
}: Expected["images"][number]): Promise<[string, "there" | "moved" | "missing"]> {
    const [tag = ""] = tags;
    // Docker lists images of Docker Hub by their short names.
    const short = (name: string) => name.replace(/^docker\.io\//, "");
    const lists = async (...filters: string[]): Promise<boolean | undefined> => {
        const args = ["image", "ls", "--format", "{{.Repository}}:{{.Tag}}", ...filters];
        const { exitCode, stdout } = await run("docker", args);
        return exitCode === 0 ? lines(stdout).map(short).includes(short(tag)) : undefined;
    };
    const isSame = await lists("--filter", `label=${contentLabel}=${labels[contentLabel] ?? ""}`);
    // Where Docker does not say, nothing is known to be wrong.
    return [tag, isSame !== false ? "there" : (await lists()) ? "moved" : "missing"];
}
