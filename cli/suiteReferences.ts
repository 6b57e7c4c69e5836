import { type ImageBuild, suiteImages } from "../catalogue/images";
import type { Settings } from "../settings/parse";
import { type PullPlan, planPull, type Registries } from "../settings/pulled";
import { lookUp, lookUpHere } from "../settings/registry";

const asked = new Map<string, ReturnType<Registries["lookUp"]>>();

/** Registries, each image asked for once: within one command a tag is one image. */
const registries: Registries = {
    lookUp(reference) {
        const found = asked.get(reference) ?? lookUp(reference);
        asked.set(reference, found);
        return found;
    },
    lookUpHere,
};

/** What the program would pull, and what is in the way of it. */
export function pullPlan(settings: Settings): PullPlan {
    return planPull(settings, registries);
}

/**
 * Reference of each of the suite's own images as the Docker Engine knows it once the stack is up: what a rollback put back,
 * the tag of what is built, the digest of what is pulled. Where a registry does not say the digest, the tag that it is
 * asked for.
 */
export function suiteReferences(settings: Settings): Partial<Record<ImageBuild["folder"], string>> & {
    base: string;
} {
    const { base, compute } = suiteImages(settings);
    const { heldImages: held } = settings;
    const pulled = settings.images === "pull" ? pullPlan(settings).images : {};
    return {
        base: held.base ?? pulled.base?.ref ?? base.tag,
        ...(compute && { compute: held.compute ?? pulled.compute?.ref ?? compute.tag }),
    };
}
