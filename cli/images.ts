import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { attestationEnvironment, buildxArguments } from "@carbon/engine";
import { z } from "zod";
import { type ImageBuild, imageInputs, suiteImages } from "../catalogue/images";
import type { Settings } from "../settings/parse";
import { docker, lines, stackLabel } from "./docker";
import { buildMetadata, parseDocument } from "./documents";
import { UserError } from "./errors";
import { run, runInteractively } from "./process";
import { type Project, statesFolder } from "./project";
import type { Session } from "./session";

// Files in the scratch folder.
const certificates = "ca.pem";
const metadata = "metadata.json";

/** An image that was built. */
export interface BuiltImage {
    name: "base" | "compute";
    /** Tag with digest. */
    ref: string;
    digest: string;
}

/**
 * Builds the suite's images as the program does, with the same arguments and tags, so that a later `up` finds
 * everything in the cache; one after the other, as two builds would write over one another in a terminal.
 *
 * @throws UserError when a build fails; Docker has shown why.
 */
export async function buildImages(settings: Settings, session: Session): Promise<BuiltImage[]> {
    const { base, compute } = suiteImages(settings);
    const built = [await buildImage(base, settings, session)];
    return compute ? [...built, await buildImage(compute, settings, session)] : built;
}

async function buildImage(image: ImageBuild, settings: Settings, session: Session): Promise<BuiltImage> {
    const scratch = mkdtempSync(join(tmpdir(), "carbon-build-"));
    try {
        if (settings.caCertificates) {
            writeFileSync(join(scratch, certificates), settings.caCertificates);
        }
        const exitCode = await runInteractively("docker", buildCommand(image, settings, scratch), {
            cwd: session.project.dir,
            env: attestationEnvironment(settings.push),
            stdout: session.output.progressFd,
            signal: session.signal,
        });
        if (exitCode !== 0) {
            throw new UserError(`Building the image ${image.folder} failed; what went wrong is above.`);
        }
        const { "containerimage.digest": digest } = parseDocument(
            "What buildx says of the image",
            buildMetadata,
            readFileSync(join(scratch, metadata), "utf8"),
            "`docker buildx version` shows which buildx it is; `make setup` installs one.",
        );
        return { name: image.folder, ref: `${image.tag}@${digest}`, digest };
    } finally {
        rmSync(scratch, { recursive: true });
    }
}

/**
 * Arguments for `docker` that say what the program's image resources say.
 *
 * @param scratch Folder with the certificates, where there are any, and for what buildx reports.
 */
export function buildCommand(image: ImageBuild, settings: Settings, scratch: string): string[] {
    return [
        ...["buildx", "build", "--metadata-file", join(scratch, metadata)],
        ...(settings.caCertificates ? ["--secret", `id=ca,src=${join(scratch, certificates)}`] : []),
        ...buildxArguments(imageInputs(image, settings)),
    ];
}

const tags = z.object({ inputs: z.object({ tags: z.array(z.string()) }) });
const output = z.object({
    outputs: z.object({ images: z.record(z.string(), z.object({ ref: z.string() })) }),
});

/** A state file, as far as images go. */
const imageState = z.object({
    checkpoint: z.object({ latest: z.object({ resources: z.array(z.looseObject({ type: z.string() })) }) }),
});

/**
 * Tags of the suite's images that the stack holds, as its state in the project says: those that it has made, and those
 * of its last deployment that came to its end. None where there is no state.
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
    const deployed = resources
        .filter(({ type }) => type === "pulumi:pulumi:Stack")
        .flatMap((resource) => Object.values(output.safeParse(resource).data?.outputs.images ?? {}))
        .map(({ ref }) => withoutDigest(ref));
    return [...new Set([...deployed, ...made])];
}

function withoutDigest(ref: string): string {
    return ref.replace(/@.*/, "");
}

/** Those of the images that no other stack of the project holds, and no container of another stack uses. */
export async function unshared(tags: string[], { project, stack }: Session): Promise<string[]> {
    const format = `{{.Image}} {{.Label "${stackLabel}"}}`;
    const inContainers = lines(await docker("ps", "--all", "--no-trunc", "--format", format))
        .map((line) => line.split(" "))
        .filter(([, owner]) => owner !== stack)
        .map(([image = ""]) => withoutDigest(image));
    const inStates = otherStacks(project, stack).flatMap((other) => deployedImages(project, other));
    return tags.filter((tag) => !inContainers.includes(tag) && !inStates.includes(tag));
}

/**
 * Removes the images that the stack held before and has no use for now, unless others have. One that Docker will not
 * remove stays.
 *
 * @param before What {@link deployedImages} said before the deployment.
 * @returns the tags of those that are gone.
 */
export async function removeOutdated(before: string[], session: Session): Promise<string[]> {
    const now = deployedImages(session.project, session.stack);
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
