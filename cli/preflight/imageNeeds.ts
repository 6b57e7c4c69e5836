import * as fs from "node:fs";
import { suiteImages } from "../../catalogue/images";
import type { Toolset } from "../../catalogue/toolsets";
import type { Settings } from "../../settings/parse";
import { type DockerInfo, hasImage, lines } from "../docker";
import { tagOf } from "../generations";
import { formatBytes } from "../output";
import { run } from "../process";
import { stackFlag } from "../session";
import { pullPlan } from "../suiteReferences";
import { type Finding, failure, ok, warning } from "./finding";

const gigabyte = 1e9;
/** Enough for a build in which only something small has changed. */
const diskForRebuild = 2;

// Gigabytes that a first build takes at its height: layers, their unpacked copy and the build cache. Rounded up
// from measured builds, see docs/benchmarks.md.
const diskForSystem = 4;
const diskForCompute = 4;
const diskForPackages: Partial<Record<Toolset, number>> = {
    python: 1,
    node: 1,
    go: 1,
    java: 1,
    rust: 1,
    r: 1,
    swift: 2,
    dotnet: 1,
    graphics: 1,
    desktop: 3,
    databases: 1,
    cloud: 2,
    torch: 4,
    tensorflow: 5,
    llm: 2,
    spark: 2,
    notebooks: 3,
    codeServer: 2,
    apps: 2,
};

/** What PyPI's build of PyTorch takes more than the CPU build: CUDA's libraries. */
const diskForCuda = 16;

/** What a finished build keeps (48 GB of everything), of the rounded estimate for its height (60 GB), and less. */
const keptOfHeight = 0.75;

/** Whether the image that everything starts from is here, or can be had. */
export async function checkRootImage(rootImage: string): Promise<Finding> {
    const title = "root image";
    if (await hasImage(rootImage)) {
        return ok(title, `${rootImage} is here`);
    }
    const remote = await run("docker", ["buildx", "imagetools", "inspect", rootImage], { timeout: 30_000 });
    return remote.exitCode === 0
        ? ok(title, `${rootImage} can be pulled`)
        : failure(
              title,
              `${rootImage} is not here and cannot be pulled: ${remote.reason}`,
              "Type `make setup`, which makes one where there is no registry, or set carbon:rootImage to a mirror's.",
          );
}

/** Whether the images that a rollback put back are here: they are not built. */
export async function checkHeldImages({ heldImages, stack }: Settings): Promise<Finding[]> {
    const suites = [heldImages.base, heldImages.compute].filter((image) => image !== undefined);
    const found = await Promise.all(suites.map((image) => hasImage(tagOf(image))));
    return suites
        .filter((_, index) => !found[index])
        .map((image) =>
            failure(
                "held image",
                `${image}, which carbon:heldImages in Pulumi.${stack}.yaml names, is not here`,
                `Type: ./carbon up --new-images${stackFlag(stack)}`,
            ),
        );
}

/** Whether the images that are pulled can be, and fit the stack. */
export function checkPulledImages(settings: Settings): Finding[] {
    const title = "images to pull";
    const { images, problems } = pullPlan(settings);
    return problems.length > 0
        ? problems.map(({ detail, advice }) => failure(title, detail, `${advice}.`))
        : [
              ok(
                  title,
                  Object.values(images)
                      .map(({ ref }) => ref)
                      .join(", ") || "none",
              ),
          ];
}

/** Whether the disk that images are kept on has room for the build. */
export async function checkDisk(settings: Settings, info: DockerInfo): Promise<Finding> {
    const title = "disk";
    const free = await freeDisk(settings, info);
    const needed = (await isBuilt(settings)) ? diskForRebuild : await diskForBuild(settings);
    const need = `a build needs about ${needed} GB`;
    if (free === undefined) {
        return warning(
            title,
            `${need}; how much is free in Docker's own disk cannot be seen from here`,
            "Type `docker system df` to see what is used.",
        );
    }
    return free >= needed * gigabyte
        ? ok(title, `${formatBytes(free)} free, ${need}`)
        : failure(
              title,
              `only ${formatBytes(free)} free, ${need}`,
              "Type `docker builder prune --all` to drop the build cache, or choose fewer toolsets.",
          );
}

/**
 * Gigabytes for a first build of the stack. What the engine keeps of the suite's images already, of other stacks or of
 * an interrupted build, need not be made again.
 */
async function diskForBuild(settings: Settings): Promise<number> {
    const rest = diskForFirstBuild(settings) - (await alreadyBuilt(settings)) / gigabyte / keptOfHeight;
    return Math.max(diskForRebuild, Math.ceil(rest));
}

/** Bytes of the images and the build cache that the engine keeps, without the images that are not the suite's. */
async function alreadyBuilt({ imagePrefix }: Settings): Promise<number> {
    const [{ stdout: usage }, { stdout: list }] = await Promise.all([
        run("docker", ["system", "df", "--format", "{{.Type}} {{.Size}}"]),
        run("docker", ["image", "ls", "--format", "{{.Repository}} {{.Size}}"]),
    ]);
    const [, images] = /^Images (\S+)$/m.exec(usage) ?? [];
    const [, cache] = /^Build Cache (\S+)$/m.exec(usage) ?? [];
    // Docker lists Docker Hub's images by their short names.
    const ours = `${imagePrefix.replace(/^docker\.io\//, "")}/`;
    const others = lines(list)
        .filter((line) => !line.startsWith(ours))
        .reduce((sum, line) => sum + parseSize(line.split(" ")[1]), 0);
    // With containerd's store the images' total has the build cache in it, and the layers of an interrupted build.
    return Math.max(parseSize(images) - others, parseSize(cache));
}

/** A size as Docker writes it ("23.4GB", with the units of the SI); 0 for what is none. */
export function parseSize(size: string | undefined): number {
    const [, amount, unit = ""] = /^([\d.]+)([kMGT]?)B$/.exec(size ?? "") ?? [];
    return Number(amount ?? 0) * (unitBytes[unit] ?? 0);
}

const unitBytes: Record<string, number> = { "": 1, k: 1e3, M: 1e6, G: gigabyte, T: 1e12 };

/** Gigabytes that building everything from nothing takes at its height. */
export function diskForFirstBuild(
    settings: Pick<Settings, "compute" | "toolsets" | "platforms" | "torchIndex">,
): number {
    const packages = settings.toolsets.reduce((sum, toolset) => sum + (diskForPackages[toolset] ?? 0), 0);
    const isCuda = settings.torchIndex === "pypi" || settings.torchIndex === "cuda";
    const cuda = settings.toolsets.includes("torch") && isCuda ? diskForCuda : 0;
    const one = diskForSystem + packages + cuda + (settings.compute ? diskForCompute : 0);
    return one * settings.platforms.length;
}

async function isBuilt(settings: Settings): Promise<boolean> {
    const { base, compute } = suiteImages(settings);
    return settings.heldImages.base !== undefined || hasImage((compute ?? base).tag);
}

/** Bytes free where the engine keeps its images: seen directly, or from a container where it has a disk of its own. */
export async function freeDisk(settings: Settings, info: DockerInfo): Promise<number | undefined> {
    if (
        process.platform === "linux" &&
        !settings.server &&
        info.DockerRootDir &&
        fs.existsSync(info.DockerRootDir)
    ) {
        const { bavail, bsize } = fs.statfsSync(info.DockerRootDir);
        return bavail * bsize;
    }
    if (!(await hasImage(settings.rootImage))) {
        return undefined;
    }
    const df = await run("docker", [
        "run",
        "--rm",
        settings.rootImage,
        "df",
        "--output=avail",
        "--block-size=1",
        "/",
    ]);
    const bytes = Number(df.stdout.split("\n")[1]);
    return df.exitCode === 0 && Number.isFinite(bytes) ? bytes : undefined;
}
