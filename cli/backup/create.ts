import { randomBytes } from "node:crypto";
import {
    accessSync,
    constants,
    existsSync,
    readdirSync,
    renameSync,
    rmSync,
    statfsSync,
    statSync,
} from "node:fs";
import * as path from "node:path";
import { exportResources, openedStackFile } from "@carbon/engine";
import { version } from "../../package.json";
import { confirm } from "../confirm";
import { type ContainerDetails, dockerInfo, serviceLabel, stackContainers } from "../docker";
import { exitCodes, UserError } from "../errors";
import { formatBytes } from "../output";
import type { Session } from "../session";
import { whileLocked } from "../stackState";
import { type Source, writeArchive } from "./archive";
import { removeHelpers } from "./helper";
import { ensureNotRestoring } from "./journal";
import { backupSchema, type Checksums, type Manifest, passwordsPart, settingsPart } from "./manifest";
import { progressLine } from "./progress";
import { volumeSource, wayOf } from "./sources";
import { passwords as carriage, stackLocation } from "./stackState";
import { helperImage, type Measured, measure, type StackVolume, stackVolumesOf } from "./volumes";

/** Bytes beside the parts: the manifest, sums, headers. */
const overhead = 10_000_000;

/** A backup that was made. */
export interface Backup {
    file: string;
    bytes: number;
    manifest: Manifest;
    checksums: Checksums;
}

/** What a backup of the stack would hold. */
interface Plan {
    containers: ContainerDetails[];
    volumes: StackVolume[];
    image: string;
    measured: Measured;
    documents: Record<string, string>;
}

/**
 * Where the backup is to lie: the file that was named, one of a name of its own in the folder that was named, or in this one.
 *
 * @throws UserError where that cannot be written to.
 */
export function targetFile(session: Session, to: string | undefined, now = new Date()): string {
    const day = now
        .toISOString()
        .replace(/:\d\d\.\d+Z$/, "")
        .replace(":", "");
    const own = `carbon-${session.stack}-${day}.age`;
    const asked = path.resolve(to ?? ".");
    const isFolder = existsSync(asked) && statSync(asked).isDirectory();
    const file = isFolder ? path.join(asked, own) : asked;
    const folder = path.dirname(file);
    if (!existsSync(folder)) {
        throw new UserError(`--to: there is no folder ${folder}.`, exitCodes.usage);
    }
    if (existsSync(file) && !statSync(file).isFile()) {
        throw new UserError(`--to: ${file} is no file.`, exitCodes.usage);
    }
    try {
        accessSync(folder, constants.W_OK);
    } catch {
        throw new UserError(`--to: ${folder} cannot be written to.`, exitCodes.usage);
    }
    return file;
}

/**
 * Backs the stack up, whether it runs or not. The file is written beside its place, under a name of this run's own, and
 * moved there once it is whole. Nobody else changes the stack meanwhile.
 *
 * @param file As {@link targetFile} says; what lies there is replaced after a yes.
 * @throws UserError where the stack has nothing, another run holds it, the disk has no room, or what was copied did not
 * stand still; Declined; Interrupted.
 */
export function createBackup(session: Session, file: string, passphrase: string): Promise<Backup> {
    ensureNotRestoring(session);
    return whileLocked(session, async () => {
        await removeHelpers(session.stack);
        return create(session, file, passphrase);
    });
}

async function create(session: Session, file: string, passphrase: string): Promise<Backup> {
    const plan = await makePlan(session);
    ensureRoom(path.dirname(file), plan.measured);
    if (existsSync(file)) {
        await confirm(session, `Replace the file ${file}?`);
    }
    const manifest = await describe(session, plan);
    sayUnfinished(session, file);
    const unfinished = `${file}.${randomBytes(6).toString("hex")}.part`;
    const line = progressLine(session.output);
    try {
        const contents = { manifest, sources: sources(session, plan) };
        const { signal } = session;
        const checksums = await writeArchive(unfinished, contents, {
            passphrase,
            progress: line.show,
            signal,
        });
        line.end();
        session.signal.throwIfAborted();
        renameSync(unfinished, file);
        return { file, bytes: statSync(file).size, manifest, checksums };
    } finally {
        line.end();
        rmSync(unfinished, { force: true });
    }
}

/** What a run that was killed left may as well be one that still goes on, on another machine. */
function sayUnfinished(session: Session, file: string): void {
    const folder = path.dirname(file);
    const found = readdirSync(folder).filter(
        (name) => name.startsWith(`${path.basename(file)}.`) && /\.[0-9a-f]{12}\.part$/.test(name),
    );
    if (found.length > 0) {
        session.output.warn(
            `Half a backup of a run before this one lies in ${folder}: ${found.join(", ")}. Remove it unless that run still goes on.`,
        );
    }
}

async function makePlan(session: Session): Promise<Plan> {
    const location = stackLocation(session);
    const containers = await stackContainers(session.stack);
    const volumes = await stackVolumesOf(session.stack, containers);
    const settings = await openedStackFile(location);
    const passwords = await exportResources(location, carriage);
    if (volumes.length === 0) {
        throw new UserError(`There is nothing to back up. ${session.notDeployed()}`);
    }
    if (passwords.length === 0) {
        session.output.warn(
            `This clone has no state of the stack ${session.stack}, so that the backup has the data and not the passwords which open them. ` +
                "Where another clone has deployed it, make the backup there.",
        );
    }
    const image = await helperImage(session, containers);
    const measured = await measure(session, image, volumes);
    const documents = {
        ...(settings !== undefined && { [settingsPart]: settings }),
        ...(passwords.length > 0 && { [passwordsPart]: `${JSON.stringify(passwords)}\n` }),
    };
    return { containers, volumes, image, measured, documents };
}

/** @throws UserError where the disk may not hold it. How much compression saves, nobody knows beforehand. */
function ensureRoom(folder: string, { bytes }: Measured): void {
    const { bavail, bsize } = statfsSync(folder);
    const needed = Object.values(bytes).reduce((sum, size) => sum + size, overhead);
    if (bavail * bsize < needed) {
        throw new UserError(
            `The stack's volumes hold ${formatBytes(needed)}, and ${formatBytes(bavail * bsize)} are free in ${folder}. ` +
                "Nothing was written. Name a folder on a larger disk: --to FOLDER.",
        );
    }
}

async function describe(session: Session, plan: Plan): Promise<Manifest> {
    const { containers, volumes, measured, documents } = plan;
    const info = await dockerInfo();
    const outputs = await (await session.engine()).outputs(session.request(), { showSecrets: false });
    return {
        schema: backupSchema,
        stack: session.stack,
        created: new Date().toISOString(),
        versions: {
            suite: version,
            architecture: info.Architecture,
            postgres: measured.postgres,
            images: outputs?.images,
            containers: Object.fromEntries(
                containers.map(({ Config }) => [Config.Labels[serviceLabel] ?? "", Config.Image]),
            ),
        },
        parts: [
            ...Object.keys(documents).map((name) => ({ name, kind: "document" as const, bytes: 0 })),
            ...ordered(volumes).map((volume) => ({
                name: volume.spec.name,
                kind: "volume" as const,
                service: volume.service,
                bytes: measured.bytes[volume.spec.name] ?? 0,
                taken: wayOf(volume, containers),
            })),
        ],
    };
}

function sources(session: Session, { documents, volumes, image, containers }: Plan): Source[] {
    return [
        ...Object.entries(documents).map(([name, text]) => ({
            name,
            async *open() {
                yield Buffer.from(text);
            },
        })),
        ...ordered(volumes).map((volume) => volumeSource(session, image, volume, containers)),
    ];
}

/** The large ones last: what one restores first is read first. */
function ordered(volumes: readonly StackVolume[]): StackVolume[] {
    return [...volumes].sort((one, other) => rank(one) - rank(other));
}

function rank({ spec }: StackVolume): number {
    return spec.name === "home" ? 1 : 0;
}
