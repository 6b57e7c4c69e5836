import { copyFileSync, existsSync } from "node:fs";
import * as path from "node:path";
import {
    type CarriedResources,
    carriedResources,
    importResources,
    openedStackFile,
    sealStackFile,
} from "@carbon/engine";
import { everyVolume } from "../../catalogue";
import { stackLabels, volumeName } from "../../catalogue/names";
import { type ContainerDetails, docker, existingVolumes, nameOf, stackContainers } from "../docker";
import { parseDocument } from "../documents";
import { passwordType } from "../engines/types";
import { UserError } from "../errors";
import { startStack, stopStack } from "../lifecycle";
import { formatBytes } from "../output";
import type { Session } from "../session";
import { readArchive } from "./archive";
import { type Helper, Stream, staging, writingCapabilities } from "./helper";
import { type Manifest, type Part, passwordsPart, settingsPart } from "./manifest";
import { progressLine } from "./progress";
import { stackLocation } from "./stackState";
import { describeVolume, helperImage } from "./volumes";

/** A backup that has been found whole, and what of it is to be restored. */
export interface Chosen {
    file: string;
    passphrase: string;
    manifest: Manifest;
    parts: Part[];
}

/** Free space, and the major versions of PostgreSQL that the image has. */
const lookScript = `
printf 'free %s\\n' "$(df --output=avail --block-size=1 /volume | tail --lines=1)"
for folder in /usr/lib/postgresql/*/; do
    folder=\${folder%/}
    [[ ! -x $folder/bin/postgres ]] || printf 'postgres %s\\n' "\${folder##*/}"
done`;

/**
 * Fills a volume. What was there stays until all is unpacked beside it; the change itself is a matter of renaming. The tar
 * has a member for the folder itself, and what lies in it belongs to whom it belonged to: no name is looked up.
 */
const fillScript = `
cd /volume
rm --recursive --force ${staging}
mkdir --mode=0700 ${staging}
zstd --decompress --stdout --quiet | tar --extract --file=- --directory=${staging} --ignore-zeros --numeric-owner \\
    --exclude=./${staging} --same-owner --preserve-permissions --acls --xattrs --xattrs-include='*' --delay-directory-restore
echo changing
find . -mindepth 1 -maxdepth 1 ! -name ${staging} -exec rm --recursive --force {} +
find ${staging} -mindepth 1 -maxdepth 1 -exec mv --target-directory=. {} +
chmod --reference=${staging} .
chown --reference=${staging} .
rmdir ${staging}
sync --file-system .`;

function writing(stack: string, image: string, volume: string, script: string): Helper {
    const volumes = { [volume]: "/volume" };
    return { stack, image, volumes, readOnly: false, capabilities: writingCapabilities, script };
}

/**
 * Writes the stack's file as the backup has it. Where another one lies, that is kept beside it.
 *
 * @returns what was done, in a sentence.
 */
export async function restoreSettings(session: Session, opened: string): Promise<string> {
    const location = stackLocation(session);
    const file = path.join(session.project.dir, `Pulumi.${session.stack}.yaml`);
    if (!existsSync(file)) {
        await sealStackFile(location, opened);
        return `Wrote the stack's settings: ${file}`;
    }
    // Where this project's passphrase does not open it, it is another one.
    const present = await openedStackFile(location).catch(() => undefined);
    if (present === opened) {
        return `The stack's settings are as they were: ${file}`;
    }
    const copy = `${file}.before-${new Date().toISOString().replace(/\D/g, "").slice(0, 14)}`;
    copyFileSync(file, copy);
    await sealStackFile(location, opened);
    return `Wrote the stack's settings: ${file} (it was different; what it was is in ${path.basename(copy)}, and \`diff\` shows the difference)`;
}

/** Brings the stack's passwords into its state. */
export async function restorePasswords(session: Session, text: string): Promise<void> {
    const resources: CarriedResources = parseDocument(
        "The part passwords of the backup",
        carriedResources,
        text,
        "Take another backup.",
    );
    await importResources(stackLocation(session), resources, [passwordType]);
}

/** The documents of a backup, which are small. */
export async function readDocuments(session: Session, { file, passphrase, parts }: Chosen) {
    const wanted = parts.filter(({ kind }) => kind === "document").map(({ name }) => name);
    const texts: Partial<Record<string, string>> = {};
    if (wanted.length > 0) {
        await readArchive(
            file,
            { passphrase, signal: session.signal },
            {
                onPiece(part, piece) {
                    if (wanted.includes(part)) {
                        texts[part] = (texts[part] ?? "") + piece.toString();
                    }
                },
            },
        );
    }
    return { settings: texts[settingsPart], passwords: texts[passwordsPart] };
}

/**
 * Makes the volumes that are to be restored, where they are missing, and looks whether they can be: builds the image that
 * it is done with, where that is missing.
 *
 * @param containers Those of the stack that stay.
 * @returns the image.
 * @throws UserError where the disk has no room, or the image's PostgreSQL cannot read the data.
 */
export async function prepareVolumes(
    session: Session,
    chosen: Chosen,
    containers: readonly ContainerDetails[],
): Promise<string> {
    const image = await helperImage(session, containers);
    for (const { name, service } of volumeParts(chosen)) {
        const labels = stackLabels(session.stack, service ?? name, session.settings().user);
        const flags = labels.flatMap(({ label, value }) => ["--label", `${label}=${value}`]);
        await docker("volume", "create", ...flags, volumeName(session.stack, name));
    }
    await look(session, image, chosen);
    return image;
}

/**
 * Fills volumes. Containers that may write to them are stopped meanwhile. Where it fails, they stay stopped: nobody shall
 * work on half of the data.
 */
export async function fillVolumes(session: Session, chosen: Chosen, image: string): Promise<void> {
    const affected = affectedBy(session, chosen.parts, await stackContainers(session.stack));
    const running = affected.filter(({ State }) => State.Status === "running");
    await stopStack(session, affected);
    try {
        await fill(session, image, chosen);
    } catch (error) {
        if (running.length > 0) {
            session.output.warn(`Still stopped: ${listed(running)}.`);
        }
        throw error;
    }
    await startStack(session, await again(session, running));
}

function volumeParts({ parts }: Chosen): Part[] {
    return parts.filter(({ kind }) => kind === "volume");
}

/** The containers that may write to what is restored. */
export function affectedBy(
    { stack }: Session,
    parts: readonly Part[],
    containers: readonly ContainerDetails[],
): ContainerDetails[] {
    const writers = parts.flatMap(({ name }) => {
        const spec = everyVolume.find((volume) => volume.name === name);
        return spec ? describeVolume(stack, spec, containers).writers : [];
    });
    return containers.filter(({ Id }) => writers.some((writer) => writer.Id === Id));
}

async function again({ stack }: Session, stopped: readonly ContainerDetails[]): Promise<ContainerDetails[]> {
    return (await stackContainers(stack)).filter(({ Id }) => stopped.some((one) => one.Id === Id));
}

/** @throws UserError where the disk has no room, or the image's PostgreSQL cannot read the data. */
async function look(session: Session, image: string, chosen: Chosen): Promise<void> {
    const parts = volumeParts(chosen);
    if (parts.length === 0) {
        return;
    }
    const volume = volumeName(session.stack, parts[0]?.name ?? "");
    const helper = writing(session.stack, image, volume, lookScript);
    const text = await Stream.helper(
        { ...helper, readOnly: true },
        "look at the disk",
        session.signal,
    ).text();
    const free = Number(/^free\s+(\d+)$/m.exec(text)?.[1] ?? Infinity);
    const needed = parts.reduce((sum, { bytes }) => sum + bytes, 0);
    if (free < needed) {
        throw new UserError(
            `The backup holds ${formatBytes(needed)}, and ${formatBytes(free)} are free where Docker keeps volumes. ` +
                "Nothing was overwritten. What is there stays until the backup is unpacked beside it.",
        );
    }
    const { postgres } = chosen.manifest.versions;
    const known = [...text.matchAll(/^postgres (\d+)$/gm)].map(([, version]) => version);
    const isWanted = parts.some(({ name }) => name === "postgres") && postgres !== undefined;
    if (isWanted && known.length > 0 && !known.includes(postgres)) {
        throw new UserError(
            `The backup holds data of PostgreSQL ${postgres}, and the image has ${known.join(", ")}. Nothing was overwritten. ` +
                "Restore it with the version of the suite that made it, and dump and load the databases.",
        );
    }
}

async function fill(session: Session, image: string, chosen: Chosen): Promise<void> {
    const { stack, signal } = session;
    const names = volumeParts(chosen).map(({ name }) => name);
    const line = progressLine(session.output);
    let current: { name: string; stream: Stream } | undefined;
    const progress = (part: string, bytes: number) => names.includes(part) && line.show(part, bytes);
    try {
        await readArchive(
            chosen.file,
            { passphrase: chosen.passphrase, signal, progress },
            {
                async onPiece(part, piece) {
                    if (!names.includes(part)) {
                        return;
                    }
                    if (current?.name !== part) {
                        const helper = writing(stack, image, volumeName(stack, part), fillScript);
                        current = {
                            name: part,
                            stream: Stream.helper(helper, `restore ${part}`, signal),
                        };
                    }
                    await current.stream.write(piece);
                },
                async onPartEnd(part) {
                    if (current?.name === part) {
                        await current.stream.end();
                        await current.stream.close();
                        current = undefined;
                    }
                },
            },
        );
    } finally {
        line.end();
        await current?.stream.close();
    }
}

/** What a restore overwrites, in words; empty where there is nothing. */
export async function overwritten({ stack }: Session, parts: readonly Part[]): Promise<string[]> {
    const volumes = parts.filter(({ kind }) => kind === "volume").map(({ name }) => volumeName(stack, name));
    return existingVolumes(volumes);
}

/** The names of containers, to be listed. */
export function listed(containers: readonly ContainerDetails[]): string {
    return containers.map(nameOf).join(", ");
}
