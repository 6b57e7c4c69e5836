import type { Settings } from "../settings/parse";
import { imageTag } from "./names";
import { baseToolsets, computeToolsets, kernelToolsets, toolsetBuildArgs } from "./toolsets";

/** How one of the two images is built. */
export interface ImageBuild<Digest> {
    /** Folder under dockerfiles/ with the Dockerfile; the build context is the project's folder. */
    folder: "base" | "compute";
    /** Fully qualified tag; only such a tag gets a digest. */
    tag: string;
    /** Build arguments. They stay readable in the image, so nothing secret may be among them. */
    buildArgs: Record<string, string | Digest>;
}

/** The build of the base image. */
export function baseImage(settings: Settings): ImageBuild<never> {
    return {
        folder: "base",
        tag: imageTag(settings.imagePrefix, "base", settings.stack),
        buildArgs: { ROOT_IMAGE: settings.rootImage, ...toolsetBuildArgs(baseToolsets, settings.toolsets) },
    };
}

/**
 * The build of the compute image on top of the base image with the given digest. The Dockerfile starts from the
 * base's tag: BuildKit does not find a local image that was never pulled by a reference with a digest (moby 26.1).
 */
export function computeImage<Digest>(settings: Settings, baseDigest: Digest): ImageBuild<Digest> {
    return {
        folder: "compute",
        tag: imageTag(settings.imagePrefix, "compute", settings.stack),
        buildArgs: {
            ROOT_IMAGE: settings.rootImage,
            BASE_IMAGE: imageTag(settings.imagePrefix, "base", settings.stack),
            BASE_DIGEST: baseDigest,
            TORCH_INDEX: settings.torchIndex,
            ...toolsetBuildArgs([...computeToolsets, ...kernelToolsets], settings.toolsets),
        },
    };
}
