/**
 * Toolsets: the parts of the two images that can be switched off. A toolset that is off leaves nothing behind.
 * Each name is also a build argument of its image's Dockerfile: `codeServer` is `TOOLSET_CODE_SERVER`.
 */

/** Toolsets of the base image, in the order in which the reference lists them. */
export const baseToolsets = [
    "python",
    "node",
    "go",
    "java",
    "rust",
    "r",
    "swift",
    "dotnet",
    "graphics",
    "desktop",
    "databases",
    "cloud",
] as const;

/** Toolsets of the compute image. */
export const computeToolsets = [
    "torch",
    "tensorflow",
    "llm",
    "spark",
    "notebooks",
    "codeServer",
    "apps",
] as const;

/** Toolsets of the base image whose languages get a Jupyter kernel from the compute image. */
export const kernelToolsets = ["java", "rust", "go", "dotnet"] as const satisfies readonly BaseToolset[];

/** Every toolset. */
export const toolsets = [...baseToolsets, ...computeToolsets] as const;

export type BaseToolset = (typeof baseToolsets)[number];
export type Toolset = (typeof toolsets)[number];

/** What a toolset cannot do without. */
export const toolsetNeeds: Partial<Record<Toolset, Toolset[]>> = {
    desktop: ["graphics"],
    spark: ["java"],
};

/** The Dockerfile's build arguments that switch `all` of an image's toolsets on or off. */
export function toolsetBuildArgs(
    all: readonly Toolset[],
    enabled: readonly Toolset[],
): Record<string, string> {
    return Object.fromEntries(all.map((name) => [buildArg(name), String(enabled.includes(name))]));
}

function buildArg(toolset: Toolset): string {
    return `TOOLSET_${toolset.replace(/([A-Z])/g, "_$1").toUpperCase()}`;
}
