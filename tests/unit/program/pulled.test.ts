import { describe, expect, it } from "vitest";
import { type Platform, suiteImages } from "../../../catalogue/images";
import { suiteVersion } from "../../../catalogue/version";
import { type PullChoice, planPull, type Registries } from "../../../settings/pulled";
import type { FoundImage, MissingImage } from "../../../settings/registry";

const index = `sha256:${"1".repeat(64)}`;
const digests: Record<Platform, string> = {
    "linux/amd64": `sha256:${"2".repeat(64)}`,
    "linux/arm64": `sha256:${"3".repeat(64)}`,
};
const prefix = "ghcr.io/ada/carbon";

function choice(changes: Partial<PullChoice> = {}): PullChoice {
    return {
        stack: "dev",
        rootImage: "docker.io/library/debian:trixie-slim",
        imagePrefix: prefix,
        platforms: ["linux/amd64"],
        machinePlatform: "linux/amd64",
        compute: false,
        toolsets: ["python", "torch"],
        torchIndex: "auto",
        images: "pull",
        pulledImages: {},
        heldImages: {},
        ...changes,
    };
}

/** Labels of images that were built with these settings. */
function labels(
    changes: Partial<PullChoice> = {},
    folder: "base" | "compute" = "base",
): Record<string, string> {
    return suiteImages(choice({ compute: true, ...changes }))[folder]?.labels ?? {};
}

function image(its: Record<string, string>, ...platforms: Platform[]): FoundImage {
    const all = platforms.length > 0 ? platforms : (Object.keys(digests) as Platform[]);
    const entries = all.map((platform) => [platform, { digest: digests[platform], labels: its }]);
    return { digest: index, platforms: Object.fromEntries(entries) };
}

/** Registries that have one image under every reference, and a Docker Engine that has `here`. */
function registries(found: FoundImage | MissingImage, here?: FoundImage): Registries & { asked: string[] } {
    const asked: string[] = [];
    return {
        asked,
        lookUp: (reference) => {
            asked.push(reference);
            return found;
        },
        lookUpHere: () => here,
    };
}

function problems(found: FoundImage | MissingImage, changes: Partial<PullChoice> = {}): string[] {
    return planPull(
        choice({ pulledImages: { base: "2026.1", compute: "2026.1" }, ...changes }),
        registries(found),
    ).problems.map(({ detail, advice }) => `${detail}. ${advice}.`);
}

describe("images that are pulled", () => {
    it("are asked for under the tag that a build for both platforms is pushed under, whatever this machine is", () => {
        const both = suiteImages(choice({ images: "build", platforms: ["linux/arm64", "linux/amd64"] }));
        for (const machinePlatform of ["linux/amd64", "linux/arm64"] as const) {
            const registry = registries(image(labels()));
            const own = choice({ machinePlatform, platforms: [machinePlatform] });
            planPull(own, registry);
            expect(registry.asked).toEqual([both.base.tag]);
        }
    });

    it("are the index for this machine's platform, and the platform's own image for another", () => {
        const found = registries(image(labels()));
        expect(planPull(choice(), found).images.base).toEqual({
            ref: `${prefix}/base@${index}`,
            digest: index,
            platform: "linux/amd64",
        });
        expect(planPull(choice({ platforms: ["linux/arm64"] }), found).images.base).toEqual({
            ref: `${prefix}/base@${digests["linux/arm64"]}`,
            digest: digests["linux/arm64"],
            platform: "linux/arm64",
        });
    });

    it("are asked for by the tag or the digest that the settings name", () => {
        const found = registries(image(labels()));
        planPull(choice({ pulledImages: { base: "2026.1" } }), found);
        planPull(choice({ pulledImages: { base: index } }), found);
        expect(found.asked).toEqual([`${prefix}/base:2026.1`, `${prefix}/base@${index}`]);
    });

    it("need no registry where the settings name a digest and it is here, or a rollback put them back", () => {
        const silent = registries(
            { why: "silent", words: "connection refused" },
            image(labels(), "linux/amd64"),
        );
        expect(planPull(choice({ pulledImages: { base: index } }), silent).problems).toEqual([]);
        expect(planPull(choice({ heldImages: { base: "x:1" } }), silent)).toEqual({
            images: {},
            problems: [],
        });
        expect(silent.asked).toEqual([]);
    });

    it("may have other settings' labels where they are what these settings and sources make", () => {
        const { id } = suiteImages(choice()).base;
        expect(problems(image({ "carbon.content": id }))).toEqual([]);
    });

    it("are refused where they were built with other settings, each named with both values", () => {
        const other = {
            ...labels({ rootImage: "mirror/debian:13", toolsets: ["go"] }),
            "carbon.version": "0.0.9",
        };
        expect(problems(image(other))).toEqual([
            `${prefix}/base:2026.1 was built with other settings: by version 0.0.9 of the suite, and this is ` +
                `${suiteVersion}; rootImage mirror/debian:13, and carbon:rootImage is docker.io/library/debian:trixie-slim; ` +
                "toolsets go, and carbon:toolsets is python. Change them in Pulumi.dev.yaml, or name an image in " +
                "carbon:pulledImages.base that was built with the stack's.",
        ]);
        const torch = problems(image(labels({ torchIndex: "cpu" }, "compute")), { compute: true });
        expect(torch.join()).toContain("torchIndex cpu, and carbon:torchIndex is auto");
    });

    it("are refused where they say nothing of their settings, or what would move the terminal", () => {
        expect(problems(image({}))[0]).toContain("toolsets not said, and carbon:toolsets is python");
        expect(problems(image({ ...labels(), "carbon.toolsets": "\x1b[2Jgo" }))[0]).toContain(
            "toolsets ?[2Jgo,",
        );
    });

    it("are refused where the platform is missing, and it is said which ones there are", () => {
        expect(problems(image(labels(), "linux/arm64"))).toEqual([
            `${prefix}/base:2026.1 is there for linux/arm64, and not for linux/amd64. ` +
                "`./carbon build --arm64 --amd64 --push` pushes it for both.",
        ]);
        const strange = { digest: index, platforms: { "\x1b[2J/x": { digest: index, labels: {} } } };
        expect(problems(strange)[0]).toContain("is there for ?[2J/x, and not");
    });

    it.each<[MissingImage["why"], string]>([
        ["missing", `the registry has no image ${prefix}/base:2026.1. `],
        ["denied", "Type `docker login ghcr.io`"],
        ["silent", `the registry ghcr.io does not answer for ${prefix}/base:2026.1 (said so). `],
    ])("that are %s are a problem with what to do, for both at once", (why, text) => {
        const found = problems({ why, words: "said so" }, { compute: true });
        expect(found).toHaveLength(2);
        expect(found[0]).toContain(text);
        expect(found[1]).toContain("/compute:2026.1");
    });
});
