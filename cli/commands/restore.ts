import type { Command } from "commander";
import { everyService, everyVolume } from "../../catalogue";
import { action, type Handler } from "../action";
import { removeHelpers } from "../backup/helper";
import { endRestoring, ensureNotRestoring } from "../backup/journal";
import { type Part, passwordsPart, settingsPart } from "../backup/manifest";
import { type PassphraseFlags, passphraseOption, readPassphrase } from "../backup/passphrase";
import {
    affectedBy,
    type Chosen,
    fillVolumes,
    listed,
    overwritten,
    prepareVolumes,
    readWhole,
    restorePasswords,
    restoreSettings,
    startAgain,
} from "../backup/restore";
import { stackLocation } from "../backup/stackState";
import { serviceOfVolume } from "../backup/volumes";
import { confirm, ensureAnswerable } from "../confirm";
import { stackContainers } from "../docker";
import { findDrift } from "../drift";
import { askForOthers, type Permissions } from "../drift/others";
import { exitCodes, messageOf, UserError } from "../errors";
import { formatDuration } from "../output";
import { permissionOptions } from "../permissionOptions";
import type { Session } from "../session";
import { whileLocked } from "../stackState";
import { partTable } from "./backup";
import { bringUp } from "./up";

interface RestoreFlags extends PassphraseFlags, Permissions {
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
    permissionOptions(passphraseOption(command)).action(action(restore));
}

const restore: Handler<RestoreFlags> = async (session, flags, [file = ""]) => {
    ensureAnswerable(session, "restore");
    stackLocation(session);
    const started = Date.now();
    const passphrase = await readPassphrase(session, flags, { isNew: false });
    session.output.note("Reading the whole backup before anything is touched");
    const { manifest, checksums, documents } = await readWhole(session, file, passphrase);
    const { known, unknown } = knownParts(manifest.parts);
    if (unknown.length > 0) {
        session.output.warn(`Left out, as this suite does not know it: ${unknown.join(", ")}`);
    }
    const only = flags.only !== undefined;
    const parts = flags.only ? chooseParts(known, flags.only) : known;
    const chosen: Chosen = { file, passphrase, manifest, parts, documents, only };
    ensureNotRestoring(
        session,
        parts.map(({ name }) => name),
    );
    (await session.engine()).ensureFree(session);
    session.output.note(
        `\nThe backup is whole; it was made on ${manifest.created}.\n${partTable({ ...manifest, parts }, checksums, session.width)}\n`,
    );
    await confirm(session, await question(session, chosen));
    const report = (text: string, up?: object) => {
        const names = parts.map(({ name }) => name);
        const milliseconds = Date.now() - started;
        session.output.result(`Restored in ${formatDuration(milliseconds)}: ${names.join(", ")}.${text}`, {
            stack: session.stack,
            file,
            seconds: milliseconds / 1000,
            restored: names,
            up,
        });
    };
    const { replaceForeign, takeOver } = flags;
    if (only) {
        await restorePart(session, chosen, { replaceForeign, takeOver });
        report("");
    } else {
        await restoreAll(session, chosen, { replaceForeign, takeOver }, report);
    }
};

/**
 * The parts that this suite has a place for: volumes by the catalogue's names, whose services are the catalogue's, too,
 * whatever the backup says, and the two documents.
 *
 * @returns also the names of the others.
 */
export function knownParts(parts: readonly Part[]): { known: Part[]; unknown: string[] } {
    const known = parts.flatMap((part) => {
        const isKnown =
            part.kind === "volume"
                ? everyVolume.some(({ name }) => name === part.name)
                : [settingsPart, passwordsPart].includes(part.name);
        return isKnown ? [{ ...part, service: serviceOfVolume(part.name) }] : [];
    });
    const names = known.map(({ name }) => name);
    return { known, unknown: parts.map(({ name }) => name).filter((name) => !names.includes(name)) };
}

/**
 * Parts by the names of volumes or of services.
 *
 * @param parts Of {@link knownParts}.
 * @throws UserError listing the parts where one is not among them.
 */
export function chooseParts(parts: readonly Part[], only: readonly string[]): Part[] {
    const allowed = parts.filter(({ kind, name }) => kind === "volume" || name === settingsPart);
    const found = only.flatMap((asked) => {
        const matching = allowed.filter(({ name, service }) => name === asked || service === asked);
        if (matching.length === 0) {
            const names = allowed.map(({ name, service }) =>
                service && service !== name ? `${name} (${service})` : name,
            );
            throw new UserError(
                `The backup has no part ${asked}. It has: ${names.join(", ")}. Nothing was changed.`,
                exitCodes.usage,
            );
        }
        return matching;
    });
    return [...new Set(found)];
}

async function question(session: Session, chosen: Chosen): Promise<string> {
    const { only } = chosen;
    const volumes = await overwritten(session, chosen.parts);
    const containers = await stackContainers(session.stack).catch(() => []);
    const affected = only ? affectedBy(session, chosen.parts, containers) : containers;
    const losses = [
        ...(volumes.length > 0 ? [`OVERWRITE ${volumes.join(", ")} with all data in them`] : []),
        ...(affected.length > 0 ? [`stop ${listed(affected)} meanwhile`] : []),
        ...(only ? [] : [`take over the backup's settings and passwords`]),
    ];
    return [`Restore the stack ${session.stack} as of ${chosen.manifest.created}`, ...losses]
        .join(", ")
        .concat("?");
}

/** The whole stack. It is taken down first, and brought up at the end. */
async function restoreAll(
    session: Session,
    chosen: Chosen,
    permissions: Permissions,
    report: (text: string, up: object) => void,
): Promise<void> {
    const image = await whileLocked(session, () => prepare(session, chosen, permissions));
    // As a container keeps the password that it was made with.
    if ((await stackContainers(session.stack)).length > 0) {
        const engine = await session.announcedEngine();
        await engine.destroy(session.request(), { passwords: false });
    }
    await whileLocked(session, async () => {
        await sayingAgain(fillVolumes(session, chosen, image));
        if (chosen.documents.passwords !== undefined) {
            await sayingAgain(restorePasswords(session, chosen.documents.passwords));
        }
        endRestoring(session);
    });
    session.output.note("The volumes are filled; bringing the stack up");
    await bringUp(session, { permissions, report: (text, document) => report(`\n\n${text}`, document) });
}

/**
 * Looks at everything that can be known before the first volume changes. The settings are the backup's for it, and what
 * they were where it is refused.
 */
async function prepare(session: Session, chosen: Chosen, permissions: Permissions): Promise<string> {
    await removeHelpers(session.stack);
    const { settings } = chosen.documents;
    const restored = settings === undefined ? undefined : await restoreSettings(session, settings);
    try {
        await ensureOwn(session, permissions);
        sayUnused(session, chosen.parts);
        const image = await prepareVolumes(session, chosen, []);
        if (restored) {
            session.output.note(restored.said);
        }
        return image;
    } catch (error) {
        restored?.undo();
        throw error;
    }
}

/** @throws UserError or Declined where what is there is not the stack's own, or is another user's. */
async function ensureOwn(session: Session, permissions: Permissions): Promise<void> {
    const drift = await findDrift(session, await session.engine());
    await askForOthers(session, drift, permissions, "restore FILE");
}

/** A volume that is half restored is begun anew. */
async function sayingAgain<T>(work: Promise<T>): Promise<T> {
    try {
        return await work;
    } catch (error) {
        throw error instanceof UserError && error.exitCode === exitCodes.failure
            ? new UserError(`${messageOf(error)} Type the same command again: it begins anew.`)
            : error;
    }
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
async function restorePart(session: Session, chosen: Chosen, permissions: Permissions): Promise<void> {
    const { settings } = chosen.documents;
    await whileLocked(session, async () => {
        await removeHelpers(session.stack);
        await ensureOwn(session, permissions);
        if (chosen.parts.some(({ kind }) => kind === "volume")) {
            const containers = await stackContainers(session.stack);
            const image = await prepareVolumes(session, chosen, containers);
            const stopped = await sayingAgain(fillVolumes(session, chosen, image));
            endRestoring(session);
            await startAgain(session, stopped);
        }
        if (settings !== undefined && chosen.parts.some(({ name }) => name === settingsPart)) {
            session.output.note((await restoreSettings(session, settings)).said);
            session.output.note(`They count from the next ./carbon up${session.stackFlag()} on.`);
        }
    });
}
