import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { writeWhole } from "@carbon/engine";
import { z } from "zod";
import { serviceCatalogue } from "../catalogue";
import type { Settings } from "../settings/parse";
import { parseDocument } from "./documents";
import { run } from "./process";
import { ownFile, type Project } from "./project";
import type { Session } from "./session";
import { suiteReferences } from "./suiteReferences";

/** An image that ran: what containers are made from, and its id in the Docker Engine, where it could be asked. */
const image = z.object({ ref: z.string().min(1), id: z.string().optional() });
const generation = z.object({
    /** When it was recorded (ISO 8601). */
    at: z.iso.datetime(),
    /** By name: `base`, `compute`, and each service that runs from an official image. */
    images: z.record(z.string(), image),
    /** Versions of the data that the base image's servers write, by format; absent where nobody knows. */
    data: z.record(z.string(), z.int().positive()).optional(),
});
const generations = z.object({
    schema: z.literal(1),
    stack: z.string(),
    /** Of the last deployment that ended well. */
    current: generation.optional(),
    /** Of the one before it that had other images. */
    previous: generation.optional(),
    /** Tags of a deployment with other images that has begun, and not ended well. */
    attempt: z.record(z.string(), z.string()).optional(),
});

/** The images of a deployment that ended well. */
export type Generation = z.infer<typeof generation>;
/** What `.carbon/generations/<stack>.json` holds. */
export type Generations = z.infer<typeof generations>;

/**
 * The stack's generations; none of them where nothing was written down yet.
 *
 * @throws UserError when the file cannot be read as what it should be.
 */
export function readGenerations(project: Project, stack: string): Generations {
    const file = generationsFile(project, stack);
    return existsSync(file)
        ? parseDocument(
              `The record of images ${file}`,
              generations,
              readFileSync(file, "utf8"),
              "Remove it; a rollback is then possible again after the next upgrade.",
          )
        : { schema: 1, stack };
}

/** Writes them, whole or not at all, for their user alone. */
export async function writeGenerations(
    project: Project,
    stack: string,
    document: Generations,
): Promise<void> {
    const file = generationsFile(project, stack);
    mkdirSync(join(file, ".."), { recursive: true, mode: 0o700 });
    await writeWhole(file, `${JSON.stringify(document, null, 4)}\n`);
}

/** Removes them, as where the images themselves are removed. */
export function forgetGenerations(project: Project, stack: string): void {
    rmSync(generationsFile(project, stack), { force: true });
}

function generationsFile(project: Project, stack: string): string {
    return ownFile(project, join("generations", `${stack}.json`));
}

/**
 * Tags, without digests, of the suite's own images that the stack's generations name. Those of official images are not the
 * suite's to remove: others may use them.
 */
export function generationTags(project: Project, stack: string): string[] {
    const { current, previous } = readGenerations(project, stack);
    return [current, previous].flatMap((one) =>
        Object.entries(one?.images ?? {})
            .filter(([name]) => name === "base" || name === "compute")
            .map(([, { ref }]) => tagOf(ref)),
    );
}

/** Reference of every image that a deployment with these settings runs, by name. */
export function wantedImages(settings: Settings): Record<string, string> {
    return { ...suiteReferences(settings), ...settings.serviceImages };
}

/** Names of the images that both have and that are not the same. */
export function changedImages(images: Generation["images"], wanted: Record<string, string>): string[] {
    return Object.entries(images)
        .filter(([name, { ref }]) => wanted[name] !== undefined && tagOf(ref) !== tagOf(wanted[name]))
        .map(([name]) => name);
}

/** The reference without its digest, unless it has nothing else. */
export function tagOf(ref: string): string {
    const [name = "", digest] = ref.split("@");
    return digest && !/:[^/]+$/.test(name) ? ref : name;
}

const imagesOutput = z.record(z.string(), z.object({ ref: z.string() }));

/** Versions of the data that the servers of this suite's base image write, by format. */
function dataVersions(): Record<string, number> {
    return Object.fromEntries(
        serviceCatalogue.flatMap(({ data }) => (data ? [[data.format, data.version]] : [])),
    );
}

/**
 * The same of an image that ran, as it was written down then; undefined where nothing was.
 *
 * @param base Reference of a base image.
 */
export function recordedData(
    { current, previous }: Generations,
    base: string,
): Record<string, number> | undefined {
    return [current, previous].find(
        (one) => one?.data && one.images.base && tagOf(one.images.base.ref) === tagOf(base),
    )?.data;
}

/**
 * What a deployment runs, with the digests and ids that they have now.
 *
 * @param output The stack output `images`, of which the digests are.
 */
export async function runningGeneration(settings: Settings, output: unknown): Promise<Generation> {
    const built = imagesOutput.safeParse(output).data ?? {};
    const entries = Object.entries(wantedImages(settings)).map(async ([name, wanted]) => {
        const ref = built[name] && tagOf(built[name].ref) === tagOf(wanted) ? built[name].ref : wanted;
        return [name, { ref, id: await imageId(tagOf(ref)) }] as const;
    });
    return {
        at: new Date().toISOString(),
        images: Object.fromEntries(await Promise.all(entries)),
        // A held image may be of other sources than these.
        data: settings.heldImages.base ? undefined : dataVersions(),
    };
}

/** The image's id in the Docker Engine; undefined where it has none of that name. */
export async function imageId(reference: string): Promise<string | undefined> {
    const { exitCode, stdout } = await run("docker", ["image", "inspect", "--format", "{{.Id}}", reference]);
    return exitCode === 0 ? stdout.trim() : undefined;
}

/** Writes down that a deployment ended well: its images are current, and what was current before is the way back. */
export async function recordGood({ project, stack }: Session, good: Generation): Promise<void> {
    const known = readGenerations(project, stack);
    const { current, previous } = known;
    const base = good.images.base?.ref;
    const data = good.data ?? (base ? recordedData(known, base) : undefined);
    const isSame =
        current &&
        Object.keys(current.images).join() === Object.keys(good.images).join() &&
        changedImages(current.images, refsOf(good)).length === 0;
    await writeGenerations(project, stack, {
        schema: 1,
        stack,
        current: { ...good, data },
        previous: isSame ? previous : current,
    });
}

/** The references of a generation, by name. */
export function refsOf({ images }: Generation): Record<string, string> {
    return Object.fromEntries(Object.entries(images).map(([name, { ref }]) => [name, ref]));
}
