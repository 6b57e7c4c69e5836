import { copyFileSync, existsSync, renameSync, rmSync } from "node:fs";
import * as path from "node:path";
import { checkResources, importResources, openedStackFile, sealStackFile } from "@carbon/engine";
import { everyVolume } from "../../catalogue";
import { stackLabels, volumeName } from "../../catalogue/names";
import { type ContainerDetails, docker, existingVolumes, nameOf, stackContainers } from "../docker";
import { exitCodes, messageOf, UserError } from "../errors";
import { startStack, stopStack } from "../lifecycle";
import { formatBytes } from "../output";
import type { Session } from "../session";
import { foreignFault, readArchive, type Whole } from "./archive";
import { type Helper, newStaging, Stream, stagingExcludes, stagings, writingCapabilities } from "./helper";
import { beginRestoring, endRestoring, readRestoring } from "./journal";
import { type Manifest, type Part, passwordsPart, settingsPart } from "./manifest";
import { progressLine } from "./progress";
import { passwords as carriage, stackLocation } from "./stackState";
import { describeVolume, helperImage } from "./volumes";

/** More bytes than the settings or the passwords of any stack have. */
const longestDocument = 16_000_000;

/** What the parts of a backup that are no volumes hold; absent where the backup has no such part. */
export interface Documents {
    settings?: string;
    /** As `checkResources` has found them good. */
    passwords?: unknown;
}

/** A backup that has been found whole, and what of it is to be restored. */
export interface Chosen {
    file: string;
    passphrase: string;
    manifest: Manifest;
    parts: Part[];
    /** Of these parts. */
    documents: Documents;
    /** Whether parts were asked for, and not the whole stack. */
    only: boolean;
}

/** Free space, and the major versions of PostgreSQL that the image has. */
const lookScript = `
printf 'free %s\\n' "$(df --output=avail --block-size=1 /volume | tail --lines=1)"
for folder in /usr/lib/postgresql/*/; do
    folder=\${folder%/}
    [[ ! -x $folder/bin/postgres ]] || printf 'postgres %s\\n' "\${folder##*/}"
done`;

/**
 * Fills a volume. What was there stays until all is unpacked beside it; the change itself is a matter of renaming, and
 * nothing is deleted before the new is in its place. Where it fails before the change, it says so. The tar has a member
 * for the folder itself, and what lies in it belongs to whom it belonged to: no name is looked up.
 */
function fillScript(staging = newStaging()): string {
    return `
trap '[[ -v changing ]] || echo unchanged' EXIT
cd /volume
rm --recursive --force ${stagings}
mkdir --mode=0700 ${staging} ${staging}/new ${staging}/old
zstd --decompress --stdout --quiet | tar --extract --file=- --directory=${staging}/new --ignore-zeros --numeric-owner \\
    ${stagingExcludes} --same-owner --preserve-permissions --acls --xattrs --xattrs-include='*' --delay-directory-restore
changing=yes
find . -mindepth 1 -maxdepth 1 ! -name ${staging} -exec mv --target-directory=${staging}/old {} +
find ${staging}/new -mindepth 1 -maxdepth 1 -exec mv --target-directory=. {} +
chmod --reference=${staging}/new .
chown --reference=${staging}/new .
sync --file-system .
rm --recursive --force ${staging}
sync --file-system .`;
}

function writing(stack: string, image: string, volume: string, script: string): Helper {
    const volumes = { [volume]: "/volume" };
    return { stack, image, volumes, readOnly: false, capabilities: writingCapabilities, script };
}

/** What was done with the stack's settings. */
interface RestoredSettings {
    /** A sentence. */
    said: string;
    /** Makes them what they were. */
    undo(): void;
}

/**
 * Writes the stack's file as the backup has it. Where another one lies, that is kept beside it.
 *
 * @throws EngineError where it cannot be written.
 */
export async function restoreSettings(session: Session, opened: string): Promise<RestoredSettings> {
    const location = stackLocation(session);
    const file = path.join(session.project.dir, `Pulumi.${session.stack}.yaml`);
    if (!existsSync(file)) {
        await sealStackFile(location, opened);
        return { said: `Wrote the stack's settings: ${file}`, undo: () => rmSync(file, { force: true }) };
    }
    // Where this project's passphrase does not open it, it is another one.
    const present = await openedStackFile(location).catch(() => undefined);
    if (present === opened) {
        return { said: `The stack's settings are as they were: ${file}`, undo() {} };
    }
    const copy = `${file}.before-${new Date().toISOString().replace(/\D/g, "").slice(0, 14)}`;
    copyFileSync(file, copy);
    await sealStackFile(location, opened);
    return {
        said: `Wrote the stack's settings: ${file} (it was different; what it was is in ${path.basename(copy)}, and \`diff\` shows the difference)`,
        undo: () => renameSync(copy, file),
    };
}

/**
 * Brings the stack's passwords into its state.
 *
 * @param passwords As {@link readWhole} has them.
 * @throws EngineError where the state cannot be read or written.
 */
export async function restorePasswords(session: Session, passwords: unknown): Promise<void> {
    await importResources(stackLocation(session), passwords, carriage, { locked: true });
}

/**
 * Reads a backup to its end, and holds what it says to what a backup of this stack says. Nothing is changed.
 *
 * @throws UserError where it is another stack's, is not whole, or holds something else than a backup does.
 */
export async function readWhole(
    session: Session,
    file: string,
    passphrase: string,
): Promise<Whole & { documents: Documents }> {
    const line = progressLine(session.output);
    const texts: Record<string, Buffer[]> = { [settingsPart]: [], [passwordsPart]: [] };
    let bytes = 0;
    const whole = await readArchive(
        file,
        { passphrase, progress: line.show, signal: session.signal },
        {
            onManifest: ({ stack }) => ensureSameStack(session, file, stack),
            onPiece(part, piece) {
                const pieces = texts[part];
                if (pieces) {
                    bytes += piece.length;
                    if (bytes > longestDocument) {
                        throw foreign(file, `its part ${part} is too long`);
                    }
                    pieces.push(piece);
                }
            },
        },
    ).finally(line.end);
    const text = (part: string) => {
        const isThere = whole.manifest.parts.some(({ name, kind }) => name === part && kind === "document");
        return isThere ? Buffer.concat(texts[part] ?? []).toString() : undefined;
    };
    return {
        ...whole,
        documents: {
            settings: text(settingsPart),
            passwords: checkedPasswords(session, file, text(passwordsPart)),
        },
    };
}

function ensureSameStack(session: Session, file: string, stack: string): void {
    if (stack !== session.stack) {
        throw new UserError(
            `${file} holds the stack ${stack}, and not ${session.stack}: add --stack ${stack}. Nothing was changed.`,
            exitCodes.usage,
        );
    }
}

/** Whoever has written a backup would have this machine run what a resource of the state says. */
function checkedPasswords(session: Session, file: string, text: string | undefined): unknown {
    try {
        const { dir: projectDir } = session.project;
        const { stack } = session;
        return text === undefined
            ? undefined
            : checkResources({ projectDir, stack }, JSON.parse(text), carriage);
    } catch (error) {
        throw foreign(file, `its part ${passwordsPart}: ${messageOf(error)}`);
    }
}

function foreign(file: string, why: string): UserError {
    return new UserError(`${foreignFault(file, why)} Nothing was changed.`);
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
 * Fills volumes, which is noted until `endRestoring`. Containers that may write to them are stopped. Where it fails, they
 * stay stopped: nobody shall work on half of the data.
 *
 * @returns ids of the containers that were stopped for it, also by a run before this one that was cut off.
 * @throws UserError naming the volumes that are the backup's by then.
 */
export async function fillVolumes(session: Session, chosen: Chosen, image: string): Promise<string[]> {
    const affected = affectedBy(session, chosen.parts, await stackContainers(session.stack));
    // One that a backup paused, and did not live to let go on, ran as well.
    const running = affected.filter(({ State }) => ["running", "paused"].includes(State.Status));
    const earlier = readRestoring(session);
    const stopped = [...new Set([...(earlier?.stopped ?? []), ...running.map(({ Id }) => Id)])];
    await beginRestoring(session, {
        file: path.resolve(chosen.file),
        parts: volumeParts(chosen).map(({ name }) => name),
        only: chosen.only,
        when: new Date().toISOString(),
        stopped,
    });
    const filling = new Filling(session, chosen, image);
    try {
        await stopStack(session, affected);
        await filling.run();
    } catch (error) {
        if (!earlier && !filling.hasChanged) {
            endRestoring(session);
        }
        if (running.length > 0) {
            session.output.warn(`Still stopped: ${listed(running)}.`);
        }
        throw error;
    }
    return stopped;
}

/**
 * Starts containers again that were stopped for a restore.
 *
 * @throws UserError naming the service that does not get well.
 */
export async function startAgain(session: Session, stopped: readonly string[]): Promise<void> {
    const containers = await stackContainers(session.stack);
    await startStack(
        session,
        containers.filter(({ Id }) => stopped.includes(Id)),
    );
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

/** Volumes while they are filled. */
class Filling {
    private readonly done: string[] = [];
    private current?: { name: string; stream: Stream; hasAll: boolean };

    constructor(
        private readonly session: Session,
        private readonly chosen: Chosen,
        private readonly image: string,
    ) {}

    /** Whether a volume is another one than before, or may be. */
    get hasChanged(): boolean {
        return this.done.length > 0 || this.isChanging;
    }

    /** Until it has all, it changes nothing; after that, it may have been cut off anywhere. */
    private get isChanging(): boolean {
        const { hasAll = false, stream } = this.current ?? {};
        return hasAll && !stream?.said.includes("unchanged");
    }

    /** @throws UserError saying which volumes are the backup's by then. */
    async run(): Promise<void> {
        const { session, chosen } = this;
        const { file, passphrase } = chosen;
        const names = volumeParts(chosen).map(({ name }) => name);
        const line = progressLine(session.output);
        const progress = (part: string, bytes: number) => names.includes(part) && line.show(part, bytes);
        const options = { passphrase, signal: session.signal, progress, left: () => this.left() };
        try {
            await readArchive(file, options, {
                onPiece: async (part, piece) => {
                    if (names.includes(part)) {
                        await this.take(part, piece);
                    }
                },
                onPartEnd: (part) => this.finish(part),
            });
        } finally {
            line.end();
            await this.current?.stream.close();
        }
    }

    private async take(name: string, piece: Buffer): Promise<void> {
        const { stack, signal } = this.session;
        if (this.current?.name !== name) {
            const helper = writing(stack, this.image, volumeName(stack, name), fillScript());
            this.current = { name, stream: Stream.helper(helper, `restore ${name}`, signal), hasAll: false };
        }
        await this.explaining(this.current.stream.write(piece));
    }

    private async finish(name: string): Promise<void> {
        if (this.current?.name === name) {
            this.current.hasAll = true;
            await this.explaining(this.current.stream.end());
            await this.current.stream.close();
            this.current = undefined;
            this.done.push(name);
        }
    }

    private async explaining(step: Promise<void>): Promise<void> {
        try {
            await step;
        } catch (error) {
            this.session.signal.throwIfAborted();
            throw new UserError(`${messageOf(error)}. ${this.left()}`);
        }
    }

    /** What a failure leaves behind. */
    private left(): string {
        const sentences = [
            ...(this.done.length > 0 ? [`Restored already: ${this.done.join(", ")}.`] : []),
            ...(this.isChanging ? [`${this.current?.name} may be half restored.`] : []),
        ];
        return sentences.length > 0 ? sentences.join(" ") : "Nothing was changed.";
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
