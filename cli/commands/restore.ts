import type { Command } from "commander";
import { everyService, everyVolume } from "../../catalogue";
import { action, type Handler } from "../action";
import { readArchive } from "../backup/archive";
import { type Part, settingsPart } from "../backup/manifest";
import { type PassphraseFlags, passphraseOption, readPassphrase } from "../backup/passphrase";
import { progressLine } from "../backup/progress";
import {
    affectedBy,
    type Chosen,
    fillVolumes,
    listed,
    overwritten,
    prepareVolumes,
    readDocuments,
    restorePasswords,
    restoreSettings,
} from "../backup/restore";
import { stackLocation } from "../backup/stackState";
import { confirm, ensureAnswerable } from "../confirm";
import { stackContainers } from "../docker";
import { exitCodes, UserError } from "../errors";
import { formatDuration } from "../output";
import type { Session } from "../session";
import { partTable } from "./backup";
import { bringUp } from "./up";

interface RestoreFlags extends PassphraseFlags {
    only?: string[];
}

/** `carbon restore`. */
export function addRestore(program: Command): void {
    const command = program
        .command("restore")
        .argument("<file>", "a backup")
        .description("bring back what a backup holds: the whole stack, or parts of it")
        .option(
            "--only <part...>",
            "these alone: services, volumes as `backup verify` lists them, or settings (default: all, passwords too)",
        );
    passphraseOption(command).action(action(restore));
}

const restore: Handler<RestoreFlags> = async (session, flags, [file = ""]) => {
    ensureAnswerable(session, "restore");
    stackLocation(session);
    const started = Date.now();
    const passphrase = await readPassphrase(session, flags, { isNew: false });
    session.output.note("Reading the whole backup before anything is touched");
    const line = progressLine(session.output);
    const { signal } = session;
    const { manifest, checksums } = await readArchive(file, {
        passphrase,
        progress: line.show,
        signal,
    }).finally(line.end);
    ensureSameStack(session, file, manifest.stack);
    const parts = flags.only ? chooseParts(manifest.parts, flags.only) : knownParts(session, manifest.parts);
    const chosen: Chosen = { file, passphrase, manifest, parts };
    session.output.note(
        `\nThe backup is whole; it was made on ${manifest.created}.\n${partTable({ ...manifest, parts }, checksums, session.width)}\n`,
    );
    await confirm(session, await question(session, chosen, flags.only !== undefined));
    const restored = flags.only ? restorePart(session, chosen) : restoreAll(session, chosen);
    await restored.catch((error) => {
        const again = "Type the same command again: it begins anew.";
        throw error instanceof UserError && error.exitCode === exitCodes.failure
            ? new UserError(`${error.message} ${again}`)
            : error;
    });
    const milliseconds = Date.now() - started;
    if (flags.only) {
        const names = parts.map(({ name }) => name);
        session.output.result(`Restored in ${formatDuration(milliseconds)}: ${names.join(", ")}.`, {
            stack: session.stack,
            file,
            seconds: milliseconds / 1000,
            restored: names,
        });
    }
};

function ensureSameStack(session: Session, file: string, stack: string): void {
    if (stack !== session.stack) {
        throw new UserError(
            `${file} holds the stack ${stack}, and not ${session.stack}: add --stack ${stack}. Nothing was changed.`,
            exitCodes.usage,
        );
    }
}

/** Parts by the names of volumes or of services. */
export function chooseParts(parts: readonly Part[], only: readonly string[]): Part[] {
    const allowed = parts.filter(({ kind, name }) => kind === "volume" || name === settingsPart);
    return only.flatMap((asked) => {
        const found = allowed.filter(({ name, service }) => name === asked || service === asked);
        if (found.length === 0) {
            const names = allowed.map(({ name, service }) =>
                service && service !== name ? `${name} (${service})` : name,
            );
            throw new UserError(
                `The backup has no part ${asked}. It has: ${names.join(", ")}. Nothing was changed.`,
                exitCodes.usage,
            );
        }
        return found;
    });
}

/** A volume that this suite does not know would never be mounted. */
function knownParts(session: Session, parts: readonly Part[]): Part[] {
    const unknown = parts.filter(
        ({ kind, name }) => kind === "volume" && !everyVolume.some((volume) => volume.name === name),
    );
    if (unknown.length > 0) {
        session.output.warn(
            `Left out, as this suite does not know it: ${unknown.map(({ name }) => name).join(", ")}`,
        );
    }
    return parts.filter((part) => !unknown.includes(part));
}

async function question(session: Session, chosen: Chosen, isPart: boolean): Promise<string> {
    const volumes = await overwritten(session, chosen.parts);
    const containers = await stackContainers(session.stack).catch(() => []);
    const affected = isPart ? affectedBy(session, chosen.parts, containers) : containers;
    const losses = [
        ...(volumes.length > 0 ? [`OVERWRITE ${volumes.join(", ")} with all data in them`] : []),
        ...(affected.length > 0 ? [`stop ${listed(affected)} meanwhile`] : []),
        ...(isPart ? [] : [`take over the backup's settings and passwords`]),
    ];
    return [`Restore the stack ${session.stack} as of ${chosen.manifest.created}`, ...losses]
        .join(", ")
        .concat("?");
}

/** The whole stack. It is taken down first, and brought up at the end. */
async function restoreAll(session: Session, chosen: Chosen): Promise<void> {
    const { settings, passwords } = await readDocuments(session, chosen);
    if (settings !== undefined) {
        session.output.note(await restoreSettings(session, settings));
    }
    sayUnused(session, chosen.parts);
    const image = await prepareVolumes(session, chosen, []);
    // As a container keeps the password that it was made with.
    if ((await stackContainers(session.stack)).length > 0) {
        const engine = await session.announcedEngine();
        await engine.destroy(session.request(), { passwords: false });
    }
    await fillVolumes(session, chosen, image);
    if (passwords !== undefined) {
        await restorePasswords(session, passwords);
    }
    session.output.note("The volumes are filled; bringing the stack up");
    await bringUp(session);
}

/** What the settings name is started and nothing else. */
function sayUnused(session: Session, parts: readonly Part[]): void {
    const chosen = ["workspace", ...session.settings().services.map(({ name }) => name)];
    const unused = everyService
        .filter(({ name, volumes }) => !chosen.includes(name) && volumes.length > 0)
        .filter(({ volumes }) => volumes.some(({ name }) => parts.some((part) => part.name === name)));
    if (unused.length > 0) {
        session.output.note(
            `Restored into its volume alone, as the settings do not name it: ${unused.map(({ name }) => name).join(", ")}`,
        );
    }
}

/** Parts of a stack, which goes on as it is with its own passwords. */
async function restorePart(session: Session, chosen: Chosen): Promise<void> {
    if (chosen.parts.some(({ kind }) => kind === "volume")) {
        const containers = await stackContainers(session.stack);
        await fillVolumes(session, chosen, await prepareVolumes(session, chosen, containers));
    }
    const { settings } = await readDocuments(session, chosen);
    if (settings !== undefined) {
        session.output.note(await restoreSettings(session, settings));
        session.output.note(`They count from the next ./carbon up${session.stackFlag()} on.`);
    }
}
