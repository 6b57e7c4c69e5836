import { createHash } from "node:crypto";
import { sourceHash } from "./sources";
import {
    toolsets as allToolsets,
    baseToolsets,
    computeToolsets,
    kernelToolsets,
    type Toolset,
    toolsetBuildArgs,
} from "./toolsets";
import { suiteVersion } from "./version";

/** The platforms that images are built for. */
export const imagePlatforms = ["linux/amd64", "linux/arm64"] as const;
export type Platform = (typeof imagePlatforms)[number];

/** What decides what the images hold, besides their sources. */
export interface ImageChoice {
    /** Image that the base image starts from. */
    rootImage: string;
    /** Registry and folder of both images. */
    imagePrefix: string;
    platforms: readonly Platform[];
    /** False where only the base image is wanted. */
    compute: boolean;
    toolsets: readonly Toolset[];
    /** Where PyTorch comes from. */
    torchIndex: string;
    /** Whether they are built here or pulled from the registry that `imagePrefix` names. */
    images: "build" | "pull";
    /** Tag or digest to pull, by image; the tag of a build for both platforms where there is none. */
    pulledImages: Partial<Record<"base" | "compute", string>>;
}

/**
 * Label of an image with what stands for its content. The embedded engine takes an image that has it instead of building
 * it again.
 */
export const contentLabel = "carbon.content";

/** Labels of an image that say with which settings it was built, by the setting; and by which version of the suite. */
export const settingLabels = {
    version: "carbon.version",
    rootImage: "carbon.rootImage",
    toolsets: "carbon.toolsets",
    torchIndex: "carbon.torchIndex",
} as const;

/** How one of the two images is built. The build context is the project's folder. */
export interface ImageBuild {
    /** Folder under dockerfiles/ with the Dockerfile. */
    folder: "base" | "compute";
    /**
     * Fully qualified, as only such a tag gets a digest. It is made of everything that decides the image's content, so
     * that stacks that want the same image share it, and another content has another tag. Of an image that is pulled it is
     * the one that a build for both platforms is pushed under, or what `pulledImages` says: a tag or a digest.
     */
    tag: string;
    /** The end of the tag, which the image carries as a label as well: a tag can be moved. */
    id: string;
    /** Build arguments. They stay readable in the image, so nothing secret may be among them. */
    buildArgs: Record<string, string>;
    /** Labels with what it is built with, see {@link settingLabels}. */
    labels: Record<string, string>;
    /** References of the registry's caches that its builds read, and of the one that a build which is pushed writes. */
    caches: { read: string[]; written: string };
    /** Stages that need no other image of the suite, and so can be built before it is there. */
    parts?: { target: string; buildArgs: Record<string, string> };
}

/** The builds of both images, or of base alone where compute is off. */
export interface SuiteImages {
    base: ImageBuild;
    compute?: ImageBuild;
}

/** How builds are carried out, which changes nothing in what they make. */
export interface BuildMode {
    platforms: Platform[];
    /** Name of the buildx builder. */
    builder: string;
    /** Push the result to its registry. */
    push: boolean;
    /** Whether builds read the registry's cache, and write it when they are pushed. */
    cache: "off" | "registry";
    /** Build arguments for a proxy, which no image keeps and no step's cache depends on; nothing secret. */
    buildProxy: Record<string, string>;
}

/** The inputs of a docker-build:index:Image for the build, less its secrets. */
export function imageInputs(
    { folder, tag, id, buildArgs, labels, caches }: ImageBuild,
    { platforms, builder, push, buildProxy, cache }: BuildMode,
) {
    return {
        context: { location: "." },
        dockerfile: { location: `dockerfiles/${folder}/Dockerfile` },
        buildArgs: { ...buildArgs, ...buildProxy },
        platforms,
        tags: [tag],
        labels: { [contentLabel]: id, ...labels },
        ...(cache === "registry" && {
            cacheFrom: caches.read.map((ref) => ({ registry: { ref } })),
            ...(push && { cacheTo: [{ registry: { ref: caches.written, mode: "max" as const } }] }),
        }),
        // The daemon's own builder sees local images and has nothing to load afterwards.
        exec: true,
        builder: { name: builder },
        push: false,
        // zstd: exporting a large layer takes a quarter of the time that gzip takes. Without a level, which is zstd's own
        // default here, the provider leaves the compression out, and that is gzip (pulumi-docker-build, internal/cache.go).
        exports: [
            {
                image: {
                    names: [tag],
                    compression: "zstd" as const,
                    compressionLevel: 3,
                    ociMediaTypes: true,
                    push,
                },
            },
        ],
        buildOnPreview: false,
    };
}

/** The same for its parts alone, which end in the builder's cache. */
export function partsInputs(image: ImageBuild, mode: BuildMode) {
    // The whole image's build writes the registry's cache, with the parts in it.
    const { tags: _, cacheTo: __, ...inputs } = imageInputs({ ...image, ...image.parts }, mode);
    return { ...inputs, target: image.parts?.target, exports: [{ cacheonly: {} }] };
}

/**
 * The builds of the suite's images.
 *
 * The compute image starts from the base's tag: BuildKit does not find a local image that was never pulled by a
 * reference with a digest (moby 26.1).
 *
 * @param hash What stands for the sources of an image.
 */
export function suiteImages(choice: ImageChoice, hash: (folder: string) => string = sourceHash): SuiteImages {
    const { rootImage, imagePrefix, toolsets, torchIndex } = choice;
    const isPulled = choice.images === "pull";
    const platforms = isPulled ? imagePlatforms : choice.platforms;
    const tagged = (
        folder: ImageBuild["folder"],
        buildArgs: ImageBuild["buildArgs"],
        of: readonly Toolset[],
    ): ImageBuild => {
        const content = JSON.stringify([buildArgs, [...platforms].sort(), hash(folder)]);
        const id = createHash("sha256").update(content).digest("hex").slice(0, 12);
        const name = `${imagePrefix}/${folder}`;
        const pulled = isPulled ? choice.pulledImages[folder] : undefined;
        const enabled = of.filter((toolset) => toolsets.includes(toolset));
        return {
            folder,
            tag: pulled?.startsWith("sha256:") ? `${name}@${pulled}` : `${name}:${pulled ?? id}`,
            id,
            buildArgs,
            labels: {
                [settingLabels.version]: suiteVersion,
                [settingLabels.rootImage]: rootImage,
                [settingLabels.toolsets]: enabled.join(","),
                ...(enabled.includes("torch") && { [settingLabels.torchIndex]: torchIndex }),
            },
            caches: cachesOf(`${imagePrefix}/cache:${folder}`, platforms),
        };
    };
    const baseArgs = { ROOT_IMAGE: rootImage, ...toolsetBuildArgs(baseToolsets, toolsets) };
    const base = tagged("base", baseArgs, baseToolsets);
    if (!choice.compute) {
        return { base };
    }
    const buildArgs = {
        ROOT_IMAGE: rootImage,
        TORCH_INDEX: torchIndex,
        ...toolsetBuildArgs([...computeToolsets, ...kernelToolsets], toolsets),
    };
    const compute = tagged("compute", { ...buildArgs, BASE_IMAGE: base.tag }, allToolsets);
    return { base, compute: { ...compute, parts: { target: "parts", buildArgs } } };
}

/** Machines that build for one platform each, side by side, write a cache each: a cache is written whole. */
function cachesOf(name: string, platforms: readonly Platform[]): ImageBuild["caches"] {
    const single = platforms.map((platform) => `${name}-${platform.replace("linux/", "")}`);
    const [only = name, ...others] = single;
    return { read: [name, ...single], written: others.length === 0 ? only : name };
}
