import { existsSync, lstatSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, relative } from "node:path";
import { z } from "zod";
import { contentLabel } from "../catalogue/images";
import { deployedImages, unshared } from "./deployedImages";
import { docker, helperLabel, lines } from "./docker";
import { parseDocument } from "./documents";
import { generationTags, readGenerations, refsOf, tagOf, writeGenerations } from "./generations";
import { parseSize } from "./preflight/imageNeeds";
import { run } from "./process";
import { ownFile, type Project } from "./project";
import type { Session } from "./session";
import { suiteReferences } from "./suiteReferences";

/** What can be left over. */
export const kinds = ["images", "cache", "logs", "leftovers"] as const;
export type Kind = (typeof kinds)[number];

/** Something that nobody needs any more. */
export interface Leftover {
    kind: Kind;
    /** What it is, by its name. */
    what: string;
    /** What it takes; undefined where Docker does not say. */
    bytes?: number;
    /** Why it is not needed. */
    why: string;
    remove(): Promise<void>;
}

const hour = 3_600_000;
const day = 24 * hour;

/**
 * What of the suite's nobody in this clone needs any more: of these kinds, in their order. Nothing else's is among them,
 * but for the build cache, which a builder has one of for all that it builds, and images of other clones' stacks that are
 * down, which cannot be known.
 *
 * @param previous Whether the images that the stack can go back to count as not needed.
 */
export async function leftovers(
    session: Session,
    chosen: readonly Kind[],
    { previous }: { previous: boolean },
): Promise<Leftover[]> {
    const looks: Record<Kind, () => Leftover[] | Promise<Leftover[]>> = {
        images: () => oldImages(session, previous),
        cache: () => buildCache(session),
        logs: () => logs(session.project),
        leftovers: async () => [...(await helpers()), ...oldFiles(session.project)],
    };
    const found: Leftover[] = [];
    for (const kind of chosen) {
        found.push(...(await looks[kind]()));
    }
    return found;
}

const listed = z.object({
    Repository: z.string(),
    Tag: z.string(),
    Digest: z.string(),
    ID: z.string(),
    Size: z.string(),
    CreatedAt: z.string(),
});

/**
 * The suite's images, by their label, that no state or generation of this clone's stacks and no container has, and the
 * stack does not want. A young one may be what another command is building; only the stack's own way back is old by itself.
 */
async function oldImages(session: Session, previous: boolean): Promise<Leftover[]> {
    const { project, stack } = session;
    const settings = session.settings();
    const generations = readGenerations(project, stack);
    const dropped =
        previous && generations.previous ? Object.values(refsOf(generations.previous)).map(tagOf) : [];
    const { current } = generations;
    const own = [
        ...(current ? Object.values(refsOf(current)).map(tagOf) : []),
        ...generationTags(project, stack).filter((tag) => !dropped.includes(tag)),
        ...deployedImages(project, stack),
        ...Object.values(suiteReferences(settings)),
    ];
    const text = await docker(
        "image",
        "ls",
        "--no-trunc",
        "--digests",
        "--filter",
        `label=${contentLabel}`,
        "--format",
        "{{json .}}",
    );
    const images = lines(text).map((line) =>
        parseDocument(
            "What `docker image ls` says",
            listed,
            line,
            "`docker version` shows which Docker it is.",
        ),
    );
    const ours = images.filter(({ Repository }) =>
        [`${settings.imagePrefix}/base`, `${settings.imagePrefix}/compute`].includes(Repository),
    );
    const names = ours.map(nameOf);
    // Its own containers are asked as well: they may run from an image that no record has.
    const free = await unshared(names, session, { ownContainers: true });
    return ours.flatMap((image) => {
        const { Size, CreatedAt } = image;
        const tag = nameOf(image);
        const isWayBack = dropped.includes(tag);
        const isOld = isWayBack || madeBefore(CreatedAt, Date.now() - day);
        if (tag.includes("<none>") || own.includes(tag) || !free.includes(tag) || !isOld) {
            return [];
        }
        return [
            {
                kind: "images" as const,
                what: tag,
                bytes: parseSize(Size),
                why: isWayBack
                    ? "the way back of the stack's last upgrade"
                    : "no stack of this clone runs it or can go back to it",
                async remove() {
                    await docker("image", "rm", tag);
                    if (isWayBack) {
                        const { previous: _, ...rest } = readGenerations(project, stack);
                        await writeGenerations(project, stack, rest);
                    }
                },
            },
        ];
    });
}

/** What was pulled by its digest has no tag. */
function nameOf({ Repository, Tag, Digest }: z.output<typeof listed>): string {
    return Tag === "<none>" ? `${Repository}@${Digest}` : `${Repository}:${Tag}`;
}

/** Whether a time as Docker prints it ("2026-01-31 12:00:00 +0100 CET") is before another; of an unknown one it is not. */
function madeBefore(created: string, time: number): boolean {
    const [, date, clock, hours, minutes] =
        /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) ([+-]\d\d)(\d\d)/.exec(created) ?? [];
    return Date.parse(`${date}T${clock}${hours}:${minutes}`) < time;
}

/** What the builder in use can make again, as it says itself. */
async function buildCache(session: Session): Promise<Leftover[]> {
    const { builder } = session.settings();
    const usage = await run("docker", ["buildx", "du", "--builder", builder]);
    const [, size] = /^Reclaimable:\s+(\S+)$/m.exec(usage.stdout) ?? [];
    const bytes = parseSize(size);
    return bytes > 0
        ? [
              {
                  kind: "cache",
                  what: `build cache of the builder ${builder}`,
                  bytes,
                  why: "makes builds faster, of other projects too",
                  async remove() {
                      await docker("buildx", "prune", "--builder", builder, "--all", "--force");
                  },
              },
          ]
        : [];
}

function logs(project: Project): Leftover[] {
    const folder = ownFile(project, "logs");
    return plainFiles(folder).map((file) => asLeftover(project, file, "logs", "the set-up's log"));
}

/** Containers that a command made for a moment, and that ended without being removed. */
async function helpers(): Promise<Leftover[]> {
    const filters = ["exited", "created", "dead"].flatMap((status) => ["--filter", `status=${status}`]);
    const text = await docker(
        "ps",
        "--all",
        "--filter",
        `label=${helperLabel}`,
        ...filters,
        "--format",
        "{{.Names}}",
    );
    return lines(text).map((name) => ({
        kind: "leftovers",
        what: `container ${name}`,
        why: "a command made it, and did not come to its end",
        async remove() {
            await docker("rm", name);
        },
    }));
}

/** Names of half-written files: backups, and what is renamed once it is whole. */
const halfWritten =
    /^carbon-.+\.age(\.[0-9a-f]{12})?\.part$|(\.json|\.yaml|^passphrase|^\.lock)\.[0-9a-f-]{36}\.tmp$/;

/** Files and folders that an interrupted command left. A younger one may be in use. */
function oldFiles(project: Project): Leftover[] {
    const own = ownFile(project, "");
    const folders = [
        own,
        join(own, "generations"),
        join(own, "state"),
        join(own, "state", ".pulumi", "stacks", "carbon"),
        project.dir,
    ];
    const files = folders
        .flatMap(plainFiles)
        .filter((file) => halfWritten.test(basename(file)) && isOlder(file, hour));
    const scratch = existsSync(tmpdir()) ? readdirSync(tmpdir()) : [];
    const builds = scratch
        .filter((name) => /^carbon-build-\w{6}$/.test(name))
        .map((name) => join(tmpdir(), name))
        .filter((folder) => isOwn(folder) && isOlder(folder, day));
    return [...files, ...builds].map((file) =>
        asLeftover(project, file, "leftovers", "an interrupted command left it"),
    );
}

function plainFiles(folder: string): string[] {
    const entries = existsSync(folder) ? readdirSync(folder, { withFileTypes: true }) : [];
    return entries.filter((entry) => entry.isFile()).map(({ name }) => join(folder, name));
}

function isOlder(file: string, milliseconds: number): boolean {
    return Date.now() - lstatSync(file).mtimeMs > milliseconds;
}

/** Whoever else can write to the folder for temporary files may have made it. */
function isOwn(folder: string): boolean {
    const found = lstatSync(folder);
    return found.isDirectory() && found.uid === process.getuid?.();
}

function asLeftover(project: Project, file: string, kind: Kind, why: string): Leftover {
    const shown = relative(project.dir, file);
    return {
        kind,
        what: shown.startsWith("..") ? file : shown,
        bytes: lstatSync(file).size,
        why,
        async remove() {
            rmSync(file, { recursive: true, force: true });
        },
    };
}
