import { catalogueName, everyService } from "../../catalogue";
import { contentLabel, type ImageBuild, suiteImages } from "../../catalogue/images";
import type { Settings } from "../../settings/parse";
import { buildImages } from "../buildImages";
import { docker, lines, removeNetwork, stackContainers } from "../docker";
import { messageOf } from "../errors";
import { ensureHealthy } from "../health";
import { stopStack } from "../lifecycle";
import { run } from "../process";
import type { Session } from "../session";
import { type Difference, ofKind } from "./difference";

/**
 * Mends what no engine does: takes away what stands in the way, leaves networks that were joined, sets limits of
 * processes, starts what is ill anew, and builds images that are gone. It does again what a run before it did not end.
 *
 * @returns names of the resources that have to be replaced, as they cannot be mended.
 */
export async function heal(
    session: Session,
    settings: Settings,
    differences: readonly Difference[],
): Promise<string[]> {
    if (differences.length === 0) {
        return [];
    }
    await removeContainers(session, differences);
    for (const { id = "", what } of ofKind(differences, "unknown-service")) {
        session.output.note(`Removing the service ${what} that is not this clone's`);
        await docker("service", "rm", id);
    }
    // After the services, which hold them. Their names say what is in them, so that the next ones are called the same.
    for (const { id = "", what } of ofKind(differences, "unknown-secret")) {
        session.output.note(`Removing the ${what} that is not this clone's`);
        await docker("secret", "rm", id);
    }
    for (const { id = "", what } of ofKind(differences, "foreign-network", "unknown-network")) {
        session.output.note(`Removing the ${what}`);
        await emptyNetwork(id);
        await removeNetwork(id);
    }
    for (const { id = "", what, network = "" } of ofKind(differences, "joined-network")) {
        session.output.note(`Taking ${what} off the network ${network}`);
        await leaveNetwork(network, id);
    }
    for (const { id = "", what } of ofKind(differences, "processes")) {
        const limit = everyService.find(({ name }) => name === catalogueName(what))?.processes;
        await docker("update", "--pids-limit", String(limit), id);
    }
    await rebuildImages(session, settings, differences);
    const incurable = [...(await restartIll(session, differences)), ...ofKind(differences, "fixed-limit")];
    return [...new Set(incurable.flatMap(({ resource }) => resource ?? []))];
}

/** Containers of the stack's are given the time to end that they have; what is not the stack's is not asked. */
async function removeContainers(session: Session, differences: readonly Difference[]): Promise<void> {
    const unknown = ofKind(differences, "unknown-container").map(({ id }) => id);
    const own = (await stackContainers(session.stack)).filter(({ Id }) => unknown.includes(Id));
    await stopStack(session, own);
    for (const { id = "", what } of ofKind(differences, "unknown-container", "foreign-container")) {
        session.output.note(`Removing the container of ${what} that is not this clone's`);
        await docker("rm", "--force", id);
    }
}

/** A container that ends over and over, as one whose creation was cut off, may have left it at this moment. */
async function leaveNetwork(network: string, id: string): Promise<void> {
    try {
        await docker("network", "disconnect", network, id);
    } catch (error) {
        if (!/is not connected to/.test(messageOf(error))) {
            throw error;
        }
    }
}

/** Also stopped containers hold it, and those of others that were asked about. */
async function emptyNetwork(id: string): Promise<void> {
    for (const container of lines(await docker("ps", "--all", "--quiet", "--filter", `network=${id}`))) {
        await docker("network", "disconnect", "--force", id, container);
    }
}

/** Those of the images that the deployment is going to use again: others are built by it anyway. */
async function rebuildImages(
    session: Session,
    settings: Settings,
    differences: readonly Difference[],
): Promise<void> {
    const gone = ofKind(differences, "missing-image", "moved-image").map(({ what }) => what);
    const wanted = Object.values(suiteImages(settings)).filter(({ tag }) => gone.includes(`image ${tag}`));
    const folders: ImageBuild["folder"][] = [];
    // What was pushed, or is pulled, is the registry's.
    for (const { tag, id, folder } of settings.push || settings.images === "pull" ? [] : wanted) {
        // Without its tag, an image that containers run from is still there.
        const filter = `label=${contentLabel}=${id}`;
        const [untagged] = lines(await docker("image", "ls", "--quiet", "--no-trunc", "--filter", filter));
        if (untagged) {
            await docker("tag", untagged, tag);
        } else {
            folders.push(folder);
        }
    }
    if (folders.length > 0) {
        session.output.note(`Building what is gone: ${folders.join(", ")}`);
        await buildImages(settings, session, folders);
    }
}

/** @returns those that a restart does not cure. */
async function restartIll(session: Session, differences: readonly Difference[]): Promise<Difference[]> {
    const ill = ofKind(differences, "unhealthy");
    const restarts = await Promise.all(
        ill.map(({ id = "", what }) => {
            session.output.note(`Starting ${what} anew, as it is not healthy`);
            return run("docker", ["restart", id]);
        }),
    );
    const containers = ill.length > 0 ? await stackContainers(session.stack) : [];
    const incurable: Difference[] = [];
    for (const [index, one] of ill.entries()) {
        if (restarts[index]?.exitCode !== 0) {
            incurable.push(one);
            continue;
        }
        try {
            await ensureHealthy(
                session,
                containers.filter(({ Id }) => Id === one.id),
            );
        } catch (error) {
            session.signal.throwIfAborted();
            session.output.warn(messageOf(error));
            incurable.push(one);
        }
    }
    return incurable;
}
