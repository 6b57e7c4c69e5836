import { officialServices } from "../catalogue";
import type { Settings } from "../settings/parse";
import { confirm } from "./confirm";
import { deployedImages } from "./deployedImages";
import { docker, stackContainers } from "./docker";
import type { CheckedEngine, Outcome } from "./engines/types";
import { Declined, Interrupted, messageOf, UserError } from "./errors";
import {
    changedImages,
    type Generation,
    imageId,
    readGenerations,
    recordGood,
    refsOf,
    runningGeneration,
    tagOf,
    wantedImages,
    writeGenerations,
} from "./generations";
import { ensureHealthy, serviceOf } from "./health";
import { holdImages, releaseImages } from "./heldImages";
import { ensureDataFits } from "./preflight/dataVersions";
import type { Session } from "./session";
import { proveNodes } from "./swarm/proof";

/** A deployment that takes other images than those that ran. */
export interface Upgrade {
    /** What ran, and was well. */
    before: Generation;
    /** The containers as they were: ids, and whether each runs. */
    containers: string;
}

/**
 * Looks whether a deployment will change images, and if so writes down that it has begun, so that it can be gone back
 * on also where it is cut off.
 *
 * @returns undefined where it changes none, or where nothing ran before.
 */
export async function beginUpgrade(session: Session, settings: Settings): Promise<Upgrade | undefined> {
    const { project, stack } = session;
    const known = readGenerations(project, stack);
    const wanted = wantedImages(settings);
    const before = known.current ?? (await deployedGeneration(session));
    if (!before || changedImages(before.images, wanted).length === 0) {
        return undefined;
    }
    await writeGenerations(project, stack, { ...known, current: before, attempt: wanted });
    return { before, containers: await containerStates(stack) };
}

/** What runs where no record of it was kept: as the state in the project says, or else the containers. */
async function deployedGeneration({ project, stack }: Session): Promise<Generation | undefined> {
    const containers = await stackContainers(stack);
    const tags = [...deployedImages(project, stack), ...containers.map(({ Config }) => tagOf(Config.Image))];
    const official = containers.flatMap((container) => {
        const service = serviceOf(container);
        return officialServices.some(({ name }) => name === service)
            ? [[service, container.Config.Image]]
            : [];
    });
    const suites = ["base", "compute"].map((name) => [name, tags.find((tag) => tag.includes(`/${name}:`))]);
    const entries = [...suites, ...official].flatMap(([name, ref]) =>
        name && ref ? [[name, ref] as const] : [],
    );
    const found = await Promise.all(
        entries.map(async ([name, ref]) => [name, { ref, id: await imageId(tagOf(ref)) }] as const),
    );
    return found.length > 0 ? { at: new Date().toISOString(), images: Object.fromEntries(found) } : undefined;
}

async function containerStates(stack: string): Promise<string> {
    const containers = await stackContainers(stack);
    return containers
        .map(({ Id, State }) => `${Id} ${State.Status}`)
        .sort()
        .join("\n");
}

/**
 * What becomes of a deployment that failed after it changed images: the images of before are put back, where the command
 * line, the user or the setting `rollback` says so.
 *
 * @param asked What the command line says.
 * @returns the error to end with, which says what was done.
 */
export async function afterFailure(
    session: Session,
    engine: CheckedEngine,
    upgrade: Upgrade | undefined,
    error: unknown,
    asked: boolean | undefined,
): Promise<unknown> {
    const { project, stack, output } = session;
    if (!upgrade || session.signal.aborted || !isFree(session, engine)) {
        return error;
    }
    if ((await containerStates(stack)) === upgrade.containers) {
        // No container was touched, as when a build fails: what ran runs.
        const { attempt: _, ...rest } = readGenerations(project, stack);
        await writeGenerations(project, stack, rest);
        return error;
    }
    output.warn(messageOf(error));
    if (!(await isWanted(session, asked))) {
        return new UserError(
            `The upgrade failed, as said above, and stays as it is. The images of before are kept: ` +
                `./carbon rollback${session.stackFlag()} puts them back.`,
        );
    }
    try {
        await goBack(session, engine, upgrade.before);
    } catch (second) {
        if (second instanceof Interrupted || session.signal.aborted) {
            return second;
        }
        return new UserError(
            `The upgrade failed, as said above, and so did the way back: ${messageOf(second)}\n` +
                `Type: ./carbon rollback${session.stackFlag()}`,
        );
    }
    return new UserError(
        `The upgrade failed, as said above. The images of before are back, and so are their containers; no data was ` +
            `touched. ${howToGoOn(session)}`,
    );
}

/** Whether what is in the stack is this run's to judge: what another one that holds it is making is that one's. */
function isFree(session: Session, engine: CheckedEngine): boolean {
    try {
        engine.ensureFree(session);
        return true;
    } catch {
        return false;
    }
}

/** How to leave the images that a rollback put back. */
export function howToGoOn(session: Session): string {
    return (
        `Pulumi.${session.stack}.yaml holds the stack on them (carbon:heldImages); ` +
        `./carbon up --new-images${session.stackFlag()} tries the new ones.`
    );
}

/** What the command line says, else the setting, else the user, who must be there to be asked. */
async function isWanted(session: Session, asked: boolean | undefined): Promise<boolean> {
    const { rollback } = session.settings();
    if (asked !== undefined || rollback !== "ask") {
        return asked ?? rollback === "always";
    }
    if (session.options.yes || !session.interactive) {
        return false;
    }
    try {
        await confirm(session, "Put the images of before back, with their containers? Data stays as it is.");
        return true;
    } catch (error) {
        if (error instanceof Declined && !(error instanceof Interrupted)) {
            return false;
        }
        throw error;
    }
}

/**
 * Puts the images of a generation back, by the same program and engine: the stack's file holds it on them from now on.
 *
 * @throws UserError when another run holds the stack, when one of them is gone, when they cannot read the data that is
 * there, or when the stack does not get well with them.
 */
export async function goBack(session: Session, engine: CheckedEngine, target: Generation): Promise<Outcome> {
    const { project, stack, output } = session;
    // Tags and the stack's file are another run's as long as that holds the stack.
    engine.ensureFree(session);
    const images = heldOf(target, session);
    await ensureImages(target, Object.keys(images));
    const settings = session.settings({ heldImages: JSON.stringify(images) });
    await ensureDataFits(settings);
    await proveNodes(session, settings);
    await holdImages(project, stack, images);
    output.note(`Going back to the images of ${target.at}: ${Object.values(images).join(", ")}`);
    const outcome = await engine.up(session.request(settings), {});
    await ensureHealthy(session);
    await recordGood(session, await runningGeneration(settings, outputOf(target)));
    return outcome;
}

function outputOf(target: Generation) {
    return Object.fromEntries(Object.entries(refsOf(target)).map(([name, ref]) => [name, { ref }]));
}

/** Those of the generation's images that the settings ask for. */
function heldOf(target: Generation, session: Session): Record<string, string> {
    const wanted = wantedImages(session.settings());
    const kept = Object.entries(refsOf(target)).filter(([name]) => name in wanted);
    if (wanted.compute && !target.images.compute) {
        throw new UserError(
            `The images of before have no compute image. Set carbon:compute to false in Pulumi.${session.stack}.yaml, and try again.`,
        );
    }
    return Object.fromEntries(kept);
}

/** Sees to it that every image is here, under its own tag: another image may have been given it. */
async function ensureImages({ images }: Generation, names: readonly string[]): Promise<void> {
    for (const name of names) {
        const { ref, id } = images[name] ?? { ref: "" };
        const tag = tagOf(ref);
        const now = await imageId(tag);
        if (now !== undefined && (!id || now === id)) {
            continue;
        }
        if (id && (await imageId(id)) !== undefined) {
            await docker("tag", id, tag);
        } else {
            throw new UserError(`There is nothing to go back to: the image ${tag} is no longer here.`);
        }
    }
}

/**
 * Takes the stack off the images that a rollback put back, or says that it is on them.
 *
 * @param newImages Whether the command line asks for the new ones.
 */
export async function leaveOrSayHeld(session: Session, newImages: boolean): Promise<void> {
    const { project, stack, output } = session;
    if (newImages) {
        if (await releaseImages(project, stack)) {
            output.note(`Pulumi.${stack}.yaml no longer holds the stack on the images of before.`);
        }
        return;
    }
    const { heldImages } = session.settings();
    const held = Object.values(heldImages);
    if (held.length > 0) {
        output.warn(
            `The stack ${stack} is held on ${held.join(", ")}, which a rollback put back. ${howToGoOn(session)}`,
        );
    }
}
