import type { Command } from "commander";
import { suiteImages } from "../../catalogue/images";
import { action, type Handler } from "../action";
import { endRestoring } from "../backup/journal";
import { confirm, ensureAnswerable } from "../confirm";
import { deployedImages, unshared } from "../deployedImages";
import {
    docker,
    hasImage,
    lines,
    nameOf,
    removeNetwork,
    stackContainers,
    stackLabel,
    stackVolumes,
} from "../docker";
import { findDrift } from "../drift";
import { askForOwner } from "../drift/others";
import { forgetGenerations, generationTags } from "../generations";
import { forgetKnownHosts } from "../knownHosts";
import { forgetLogin } from "../login";
import { plural } from "../output";
import { closeTunnel } from "../server/tunnel";
import type { Session } from "../session";
import { describeChanges, hasChanges } from "../summary";
import { removeLeftProof } from "../swarm/proof";
import { removeSwarmLeftovers } from "../swarm/services";

interface DownFlags {
    volumes: boolean;
    images: boolean;
    takeOver: boolean;
}

/** `carbon down`. */
export function addDown(program: Command): void {
    program
        .command("down")
        .description("remove the stack's containers and network; its data and its passwords stay")
        .option(
            "--volumes",
            "delete the stack's volumes too (home folder and databases), and its passwords",
            false,
        )
        .option("--images", "delete the stack's two images too, unless another stack uses them", false)
        .option("--take-over", "also where another user has made it", false)
        .action(action(down));
}

const down: Handler<DownFlags> = async (session, flags) => {
    ensureAnswerable(session, "down");
    const engine = await session.announcedEngine();
    engine.ensureFree(session);
    const volumes = await stackVolumes(session.stack);
    const images = flags.images ? await stackImages(session) : [];
    await askForOwner(session, await findDrift(session, engine), "down --take-over", flags.takeOver);
    await confirm(session, question(session.stack, flags.volumes ? volumes : [], images));

    // The passwords stay as long as the volumes: a database and a user's keychain hold them.
    const { changes } = await engine.destroy(session.request(), { passwords: flags.volumes });
    forgetLogin(session.project);
    await closeTunnel(session);
    if (flags.volumes) {
        forgetKnownHosts(session);
    }
    const leftovers = await removeLeftovers(session.stack);
    if (flags.volumes && volumes.length > 0) {
        await docker("volume", "rm", ...volumes);
    }
    if (flags.volumes) {
        endRestoring(session);
    }
    if (images.length > 0) {
        await docker("image", "rm", ...images);
        forgetGenerations(session.project, session.stack);
    }
    const removed = [...leftovers, ...(flags.volumes ? volumes : []), ...images];
    const kept = flags.volumes ? [] : volumes;
    const { same: _, keep, ...gone } = changes ?? {};
    // What the engine keeps is removed after it.
    const different = flags.volumes ? gone : { ...gone, ...(keep && { keep }) };
    const done = hasChanges(different) ? `: ${describeChanges(different)}` : "";
    session.output.result(
        [
            `The stack ${session.stack} is down${done}.`,
            ...(removed.length > 0 ? [`Removed: ${removed.join(", ")}`] : []),
            ...(kept.length > 0
                ? [
                      `Kept, with your data: ${kept.join(", ")} (--volumes deletes them)`,
                      "The passwords stay the same as long as these do.",
                  ]
                : []),
        ].join("\n"),
        { stack: session.stack, engine: engine.name, changes, removed, kept },
    );
};

function question(stack: string, volumes: string[], images: string[]): string {
    const losses = [
        ...(volumes.length > 0
            ? [`DELETE ${plural(volumes.length, "volume")} with all data (${volumes.join(", ")})`]
            : []),
        ...(images.length > 0 ? [`delete ${images.join(", ")}`] : []),
    ];
    return [`Take down the stack ${stack}`, ...losses].join(" and ").concat("?");
}

/** Images that the stack was deployed with, or would be, which are here and which no other stack uses. */
async function stackImages(session: Session): Promise<string[]> {
    const { project, stack } = session;
    const deployed = [...deployedImages(project, stack), ...generationTags(project, stack)];
    const wanted = wantedTags(session);
    const tags = await unshared([...new Set([...deployed, ...wanted])], session);
    const found = await Promise.all(tags.map(hasImage));
    return tags.filter((_, index) => found[index]);
}

/** Of what is pulled the state knows the digest; a registry is not asked for what is to be removed. */
function wantedTags(session: Session): string[] {
    const settings = session.settings();
    return settings.images === "pull" ? [] : Object.values(suiteImages(settings)).map(({ tag }) => tag);
}

/** What carries the stack's name but is not in its state, because the state was lost or a run was cut off. */
async function removeLeftovers(stack: string): Promise<string[]> {
    const swarm = await removeSwarmLeftovers(stack);
    // By label alone: a network of the name that somebody made by hand is theirs.
    const containers = await stackContainers(stack);
    if (containers.length > 0) {
        await docker("rm", "--force", ...containers.map(({ Id }) => Id));
    }
    const filter = `label=${stackLabel}=${stack}`;
    const networks = lines(await docker("network", "ls", "--format", "{{.Name}}", "--filter", filter));
    await Promise.all(networks.map(removeNetwork));
    return [...swarm, ...containers.map(nameOf), ...networks, ...(await removeLeftProof(stack))];
}
