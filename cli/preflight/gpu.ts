import { randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import { driFolder } from "../../catalogue/gpu";
import type { Settings } from "../../settings/parse";
import { type DockerInfo, isLocalEngine, lines } from "../docker";
import { type HostPlan, type HostSettings, missingEnvironments } from "../host/control";
import { run } from "../process";
import { type Finding, failure, ok, warning } from "./finding";
import { planOrRefuse } from "./hostPlan";

const title = "GPU";
/** The first of Linux's nodes through which programs compute and render (drivers/gpu/drm: they are numbered from 128). */
const renderNode = `${driFolder}/renderD128`;
/** Programs of NVIDIA's container toolkit; Docker offers `--gpus` where it finds the first. */
const toolkit = ["nvidia-container-runtime-hook", "nvidia-ctk"];

/**
 * Whether Docker's machine has what carbon:gpu passes into containers. Undefined where it passes nothing in.
 *
 * @param folder Where this machine's own devices lie.
 */
export async function checkGpu(
    settings: Pick<Settings, "gpu"> & HostSettings,
    info: DockerInfo,
    { platform = process.platform, folder = driFolder }: { platform?: NodeJS.Platform; folder?: string } = {},
): Promise<Finding | undefined> {
    // Docker Desktop's engine lies in a machine of its own, on Linux, too.
    const isHere =
        platform === "linux" && isLocalEngine() && !info.OperatingSystem?.includes("Docker Desktop");
    const { gpu } = settings;
    if (gpu === "host") {
        const plan = await planOrRefuse(title, settings);
        return "status" in plan ? plan : describeKernels(plan);
    }
    if (gpu === "dri") {
        return isHere ? lookAtOwnDevices(folder) : await askEngineForDevice(platform);
    }
    return gpu === "nvidia" ? await checkNvidia(info, isHere) : undefined;
}

function describeKernels(plan: HostPlan): Finding {
    const missing = missingEnvironments(plan);
    const kernels = `${plan.config.kernels.join(", ")} on this machine (${plan.machine.title})`;
    return ok(title, missing.length > 0 ? `${kernels}, to be installed: ${missing.join(", ")}` : kernels);
}

function lookAtOwnDevices(folder: string): Finding {
    let names: string[] = [];
    try {
        names = readdirSync(folder);
    } catch {
        // There is none.
    }
    const nodes = names.filter((name) => /^renderD\d+$/.test(name)).sort();
    if (nodes.length > 0) {
        return ok(title, `${driFolder}: ${nodes.join(", ")}`);
    }
    const found = names.length > 0 ? `only ${names.sort().join(", ")}, which draw a screen` : "nothing";
    return missingDevice(`this machine has no render node in ${driFolder} (${found})`, "linux");
}

function missingDevice(detail: string, platform: NodeJS.Platform): Finding {
    return failure(
        title,
        `carbon:gpu is dri, but ${detail}`,
        platform === "darwin"
            ? "Podman and Colima have one with krunkit as their machine's provider, and Docker Desktop where its VMM offers it. Or set carbon:gpu to host, for the Mac's own Metal, or to off."
            : "Install the driver of its GPU, so that `ls /dev/dri` lists renderD128, or set carbon:gpu to off.",
    );
}

/**
 * Asks an engine that is elsewhere, in a virtual machine or on a server, by having it start a container with the device: of
 * an image with nothing in it, so that nothing is downloaded and no program runs. Without the device Docker complains of
 * that; with it, of the program.
 */
async function askEngineForDevice(platform: NodeJS.Platform): Promise<Finding> {
    const image = `localhost/carbon-probe:${randomBytes(6).toString("hex")}`;
    // The end of an archive, and so an empty one (tar(5): two blocks of zeros).
    const imported = await run("docker", ["import", "-", image], { input: "\0".repeat(1024) });
    if (imported.exitCode !== 0) {
        return unseen(imported.reason);
    }
    try {
        const options = ["--rm", "--pull", "never", "--network", "none", "--device", renderNode];
        const { stderr, reason } = await run("docker", ["run", ...options, image, "/probe"], {
            timeout: 60_000,
        });
        if (stderr.includes("/probe")) {
            return ok(title, `${renderNode} of Docker's machine`);
        }
        return stderr.includes(renderNode)
            ? missingDevice(`Docker's machine has no render node (${renderNode})`, platform)
            : unseen(reason);
    } finally {
        await run("docker", ["image", "rm", "--force", image]);
    }
}

function unseen(reason: string): Finding {
    return warning(
        title,
        `whether Docker's machine has ${renderNode} cannot be seen: ${reason}`,
        "The check vulkan will tell.",
    );
}

async function checkNvidia(info: DockerInfo, isHere: boolean): Promise<Finding> {
    if (info.Architecture && !["x86_64", "amd64"].includes(info.Architecture)) {
        return failure(
            title,
            `carbon:gpu is nvidia, but Docker's machine is ${info.Architecture}, and the suite uses NVIDIA's GPUs on linux/amd64 alone`,
            "Set carbon:gpu to off, or on a Mac to host.",
        );
    }
    const hasRuntime = Object.hasOwn(info.Runtimes ?? {}, "nvidia");
    if (!hasRuntime && !(isHere && (await isInstalled(toolkit)))) {
        return failure(
            title,
            "carbon:gpu is nvidia, but Docker has no runtime nvidia",
            "Install NVIDIA's driver and the package nvidia-container-toolkit on Docker's machine, type `sudo nvidia-ctk runtime configure --runtime=docker` there and restart Docker; or set carbon:gpu to off.",
        );
    }
    if (!isHere) {
        return ok(title, "Docker has the runtime nvidia");
    }
    const { exitCode, stdout, reason } = await run("nvidia-smi", ["--list-gpus"], { timeout: 20_000 });
    return exitCode === 0 && stdout.trim()
        ? ok(title, lines(stdout).map(withoutId).join("; "))
        : failure(
              title,
              `carbon:gpu is nvidia, but NVIDIA's driver lists no GPU: ${reason}`,
              "Install the driver, so that `nvidia-smi` lists one, or set carbon:gpu to off.",
          );
}

/** Of `GPU 0: NVIDIA H100 (UUID: GPU-…)`. */
function withoutId(line: string): string {
    return line.replace(/ \(UUID: .*/, "");
}

async function isInstalled(programs: readonly string[]): Promise<boolean> {
    const found = await Promise.all(programs.map((program) => run(program, ["--version"])));
    return found.every(({ missing }) => !missing);
}
