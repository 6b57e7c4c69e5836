import {
    contentLabel,
    type ImageBuild,
    type ImageChoice,
    type Platform,
    settingLabels,
    suiteImages,
} from "../catalogue/images";
import { type FoundImage, type MissingImage, type PlatformImage, plain } from "./registry";

/** An image that is pulled instead of built. */
export interface PulledImage {
    /** `host/folder/name@sha256:…`: it stays the same image, whatever becomes of its tag. */
    ref: string;
    digest: string;
    platform: Platform;
}

/** Why an image cannot be pulled. */
export interface PullProblem {
    /** What is wrong, without a full stop. */
    detail: string;
    /** What to do. */
    advice: string;
}

/** What decides which images are pulled. */
export interface PullChoice extends ImageChoice {
    stack: string;
    /** The platform of the machine that containers run on. */
    machinePlatform: Platform;
    /** Images that are taken as they are here. */
    heldImages: Partial<Record<string, string>>;
}

/** Where images are looked up; tests hand in one of their own. */
export interface Registries {
    lookUp(reference: string): FoundImage | MissingImage;
    lookUpHere(reference: string): FoundImage | undefined;
}

/** The images to pull, by name, and every reason why one cannot be. */
export interface PullPlan {
    images: Partial<Record<ImageBuild["folder"], PulledImage>>;
    problems: PullProblem[];
}

/**
 * Looks up what the settings want to be pulled. An image whose digest they name, and that is here, is not asked for: then
 * no registry need answer.
 */
export function planPull(choice: PullChoice, { lookUp, lookUpHere }: Registries): PullPlan {
    const plan: PullPlan = { images: {}, problems: [] };
    const { base, compute } = suiteImages(choice);
    for (const image of [base, compute]) {
        if (!image || choice.heldImages[image.folder]) {
            continue;
        }
        const platform = wantedPlatform(choice);
        const found = (image.tag.includes("@") && lookUpHere(image.tag)) || lookUp(image.tag);
        const problem = "why" in found ? missing(image, found) : unfit(image, found, platform, choice);
        if (problem) {
            plan.problems.push(problem);
        }
        const own = "why" in found ? undefined : found.platforms[platform];
        if (own && !("why" in found)) {
            // Docker runs an image of several platforms for the machine's own alone.
            const digest = platform === choice.machinePlatform ? found.digest : own.digest;
            plan.images[image.folder] = { ref: `${nameOf(image.tag)}@${digest}`, digest, platform };
        }
    }
    return plan;
}

/** The machine's own where it is wanted, else the first that is. */
function wantedPlatform({ platforms, machinePlatform }: PullChoice): Platform {
    const [first = machinePlatform] = platforms;
    return platforms.includes(machinePlatform) ? machinePlatform : first;
}

/** The reference without its tag or digest. */
function nameOf(reference: string): string {
    return reference.replace(/@.*$|:[^/:]+$/, "");
}

function missing({ tag, folder }: ImageBuild, { why, words }: MissingImage): PullProblem {
    const host = tag.split("/")[0];
    switch (why) {
        case "missing":
            return {
                detail: `the registry has no image ${tag}`,
                advice: `\`./carbon build --arm64 --amd64 --push\` puts the one there that belongs to these settings and sources; carbon:pulledImages names another tag or digest for ${folder}`,
            };
        case "denied":
            return {
                detail: `the registry does not hand out ${tag} (${words})`,
                advice: `Type \`docker login ${host}\`; carbon:imagePrefix is where the images are`,
            };
        default:
            return {
                detail: `the registry ${host} does not answer for ${tag} (${words})`,
                advice: `See whether this machine reaches it, and try again; with digests in carbon:pulledImages and the images here, none is asked`,
            };
    }
}

/** Why an image that is there does not fit the stack; undefined where it does. */
function unfit(
    { tag, id, labels, folder }: ImageBuild,
    { platforms }: FoundImage,
    platform: Platform,
    { stack }: PullChoice,
): PullProblem | undefined {
    const own = platforms[platform];
    if (!own) {
        return {
            detail: `${tag} is there for ${plain(Object.keys(platforms).join(", ")) || "no platform"}, and not for ${platform}`,
            advice: "`./carbon build --arm64 --amd64 --push` pushes it for both",
        };
    }
    const differences = own.labels[contentLabel] === id ? [] : mismatches(labels, own);
    return differences.length === 0
        ? undefined
        : {
              detail: `${tag} was built with other settings: ${differences.join("; ")}`,
              advice: `Change them in Pulumi.${stack}.yaml, or name an image in carbon:pulledImages.${folder} that was built with the stack's`,
          };
}

function mismatches(wanted: Record<string, string>, { labels }: PlatformImage): string[] {
    const said = (value: string | undefined) => (value === undefined ? "not said" : plain(value) || "none");
    return Object.entries(settingLabels)
        .filter(([, label]) => wanted[label] !== undefined && wanted[label] !== labels[label])
        .map(([setting, label]) => {
            const [its, ours] = [said(labels[label]), said(wanted[label])];
            return setting === "version"
                ? `by version ${its} of the suite, and this is ${ours}`
                : `${setting} ${its}, and carbon:${setting} is ${ours}`;
        });
}
