import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { z } from "zod";
import { everyContainer, stackLabel } from "./docker";
import { generationTags, tagOf } from "./generations";
import { run } from "./process";
import { type Project, statesFolder } from "./project";
import type { Session } from "./session";

const tags = z.object({ inputs: z.object({ tags: z.array(z.string()) }) });
const pulled = z.object({ inputs: z.object({ name: z.string() }) });
const output = z.object({
    outputs: z.object({ images: z.record(z.string(), z.object({ ref: z.string() })) }),
});

/** A state file, as far as images go. */
const imageState = z.object({
    checkpoint: z.object({ latest: z.object({ resources: z.array(z.looseObject({ type: z.string() })) }) }),
});

/**
 * Tags of the suite's images that the stack holds, as its state in the project says: those that it has made or, by their
 * digests, pulled, and those of its last deployment that came to its end. None where there is no state.
 */
export function deployedImages(project: Project, stack: string): string[] {
    let state: z.output<typeof imageState>;
    try {
        const file = join(statesFolder(project), `${stack}.json`);
        state = imageState.parse(JSON.parse(readFileSync(file, "utf8")));
    } catch {
        // Without a state, or with one of another shape, images stay, and cost nothing but disk.
        return [];
    }
    const { resources } = state.checkpoint.latest;
    const made = resources
        .filter(({ type }) => type === "docker-build:index:Image")
        .flatMap((resource) => tags.safeParse(resource).data?.inputs.tags ?? []);
    const references = resources
        .filter(({ type }) => type === "docker:index/remoteImage:RemoteImage")
        .flatMap((resource) => pulled.safeParse(resource).data?.inputs.name ?? []);
    const deployed = resources
        .filter(({ type }) => type === "pulumi:pulumi:Stack")
        .flatMap((resource) => Object.values(output.safeParse(resource).data?.outputs.images ?? {}))
        .map(({ ref }) => tagOf(ref));
    return [...new Set([...deployed, ...made, ...references])];
}

/**
 * Those of the images that no other stack of the project holds or can go back to, and no container was made from.
 *
 * @param options.ownContainers Whether the stack's own containers count, too.
 */
export async function unshared(
    tags: string[],
    { project, stack }: Session,
    { ownContainers = false } = {},
): Promise<string[]> {
    // As it was made: `docker ps` shows an id once the tag is another image's.
    const inContainers = (await everyContainer())
        .filter(({ Config }) => ownContainers || Config.Labels[stackLabel] !== stack)
        .map(({ Config }) => tagOf(Config.Image));
    const inStates = otherStacks(project, stack).flatMap((other) => [
        ...deployedImages(project, other),
        ...generationTags(project, other),
    ]);
    return tags.filter((tag) => !inContainers.includes(tag) && !inStates.includes(tag));
}

/**
 * Removes the images that the stack held before and has no use for now, neither to run nor to go back to, unless others
 * have. One that Docker will not remove stays.
 *
 * @param before What {@link deployedImages} and its generations said before the deployment.
 * @returns the tags of those that are gone.
 */
export async function removeOutdated(before: string[], session: Session): Promise<string[]> {
    const { project, stack } = session;
    const now = [...deployedImages(project, stack), ...generationTags(project, stack)];
    const outdated = before.filter((tag) => !now.includes(tag));
    const removed: string[] = [];
    for (const tag of outdated.length > 0 ? await unshared(outdated, session) : []) {
        if ((await run("docker", ["image", "rm", tag])).exitCode === 0) {
            removed.push(tag);
        }
    }
    return removed;
}

function otherStacks(project: Project, stack: string): string[] {
    const folder = statesFolder(project);
    return (existsSync(folder) ? readdirSync(folder) : [])
        .filter((file) => file.endsWith(".json"))
        .map((file) => basename(file, ".json"))
        .filter((other) => other !== stack);
}
