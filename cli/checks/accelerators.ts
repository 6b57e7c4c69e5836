import * as path from "node:path";
import { z } from "zod";
import { torchKernel } from "../../host/environments";
import type { HostHome } from "../../host/home";
import { lines } from "../docker";
import { checkDocument } from "../documents";
import { kernelPython } from "../host/processes";
import {
    CheckFailed,
    type Outcome,
    type OutsideCheck,
    once,
    type Probe,
    passed,
    skipped,
    unsupported,
} from "./check";
import type { HostMachine } from "./machine";

const probes = path.join(__dirname, "..", "..", "verify", "probes");
/** Seconds for the import of a large library. */
const slow = 120;
const longest = 1_000_000;

const text = z.string().max(1_000);
const onDevice = z.object({ available: z.boolean(), equal: z.boolean().nullable(), error: text.nullable() });
const torchReport = z.object({
    version: text,
    equal: z.boolean(),
    mps: onDevice.extend({ built: z.boolean() }),
    cuda: onDevice.extend({ version: text.nullable(), devices: z.array(text) }),
});
type TorchReport = z.infer<typeof torchReport>;
const tensorflowReport = z.object({
    version: text,
    equal: z.boolean(),
    gpus: z.array(text),
    metal: text.nullable(),
});
const mlxReport = z.object({ version: text, device: text, equal: z.boolean() });

/** The Mac itself, and what the environments of `carbon gpu` can do with the GPU of this machine. */
export function acceleratorChecks(machine: HostMachine, home: HostHome): OutsideCheck[] {
    const { expected, kind, title } = machine;
    const isMac = machine.macos !== undefined;
    const askTorch = once((probe: Probe) =>
        ask({ kernel: torchKernel(isMac), script: "torch_probe.py", schema: torchReport }, home, probe),
    );
    const byTorch = (judge: (report: TorchReport) => Outcome) => async (probe: Probe) => {
        const report = await askTorch(probe);
        return "status" in report ? report : judge(report);
    };
    return [
        {
            id: "host-machine",
            expected: isMac ? `macOS ${machine.macos} or newer` : "a kind of machine that the suite knows",
            hint: "Update macOS: System Settings, General, Software Update.",
            look: (probe) => (isMac ? lookAtMac(machine, probe) : Promise.resolve(passed(title))),
        },
        {
            id: "host-torch",
            expected: "a matrix product equal to NumPy's",
            hint: "./carbon gpu install --anew",
            limit: slow,
            look: byTorch(judgeTorch),
        },
        {
            id: "host-mps",
            expected:
                expected.mps === "required"
                    ? "a product on mps equal to the CPU's, without the CPU's help"
                    : `not there: ${title}`,
            hint: "macOS 14 or later; then ./carbon gpu install --anew",
            limit: slow,
            look: byTorch((report) => judgeMps(report, machine)),
        },
        {
            id: "host-cuda",
            expected: kind === "nvidia" ? "a product on cuda equal to the CPU's" : `not there: ${title}`,
            hint: "nvidia-smi; then ./carbon gpu install --anew, which takes PyTorch's CUDA build where that answers",
            limit: slow,
            look: byTorch((report) => judgeCuda(report, machine)),
        },
        {
            id: "host-nvidia-smi",
            expected: kind === "nvidia" ? "NVIDIA's driver lists a GPU" : `not there: ${title}`,
            hint: "Install NVIDIA's driver.",
            look: lookAtNvidia,
        },
        {
            id: "host-tensorflow-metal",
            expected:
                expected["tensorflow-metal"] === "required"
                    ? "a product equal to NumPy's, and a GPU"
                    : `not there: ${title}`,
            hint: "./carbon gpu install --anew",
            limit: slow,
            look: (probe) => lookAtTensorflow(machine, home, probe),
        },
        {
            id: "host-mlx",
            expected:
                expected.mlx === "required"
                    ? "a product on the GPU equal to the CPU's"
                    : `not there: ${title}`,
            hint: "./carbon gpu install --anew",
            limit: slow,
            look: (probe) => lookAtMlx(machine, home, probe),
        },
        {
            id: "host-moltenvk",
            expected: isMac ? "a device of MoltenVK, where it is installed" : `not there: ${title}`,
            hint: "vulkaninfo --summary",
            look: (probe) => lookAtMoltenVk(isMac, probe),
        },
    ];
}

async function lookAtMac({ macos = "", title }: HostMachine, probe: Probe): Promise<Outcome> {
    const [version, chip, displays] = await Promise.all([
        probe("sw_vers", ["-productVersion"]),
        probe("sysctl", ["-n", "machdep.cpu.brand_string"]),
        probe("system_profiler", ["SPDisplaysDataType", "-json"], { maxBuffer: longest }),
    ]);
    const number = version.stdout.trim();
    const cores = gpuCores(displays.stdout);
    const observed = [
        `${title}: ${chip.stdout.trim() || "unknown chip"}`,
        ...(cores ? [`${cores} GPU cores`] : []),
        `macOS ${number || "unknown"}`,
    ].join(", ");
    if (!number || Number.parseInt(number, 10) < Number.parseInt(macos, 10)) {
        throw new CheckFailed(observed);
    }
    return passed(observed);
}

/** Of the first GPU that says it (`sppci_cores` of SPDisplaysDataType). */
export function gpuCores(json: string): string | undefined {
    try {
        const list: unknown = JSON.parse(json).SPDisplaysDataType;
        const cores = Array.isArray(list) ? list.map((one) => one?.sppci_cores).find(Boolean) : undefined;
        return cores === undefined ? undefined : String(cores);
    } catch {
        return undefined;
    }
}

/** A report of a probe in a kernel's environment, or why there is none. */
async function ask<Schema extends z.ZodType>(
    { kernel, script, schema }: { kernel: string; script: string; schema: Schema },
    home: HostHome,
    probe: Probe,
): Promise<z.output<Schema> | Outcome> {
    const python = kernelPython(home, kernel);
    if (!python) {
        return skipped(`the environment ${kernel} is not installed`, "./carbon gpu install");
    }
    // -I: nothing of the user's environment counts. -B: no byte code is left behind.
    const ended = await probe(python, ["-I", "-B", path.join(probes, script)], {
        maxBuffer: longest,
        env: { PYTORCH_ENABLE_MPS_FALLBACK: "0", TF_CPP_MIN_LOG_LEVEL: "3" },
    });
    if (ended.exitCode !== 0) {
        throw new CheckFailed(`${kernel} does not work: ${ended.reason}`);
    }
    // The last line, because a library may greet its users.
    return checkDocument(
        `What ${kernel}'s probe says`,
        schema,
        parsed(lines(ended.stdout).at(-1) ?? ""),
        "./carbon gpu install --anew makes it anew.",
    );
}

function parsed(line: string): unknown {
    try {
        return JSON.parse(line);
    } catch {
        throw new CheckFailed("the probe printed no report");
    }
}

function judgeTorch({ version, equal }: TorchReport): Outcome {
    if (!equal) {
        throw new CheckFailed(`torch ${version}: its product differs from NumPy's`);
    }
    return passed(`torch ${version}, product equal to NumPy's`);
}

/** Available alone proves nothing: the product has to be right, and made without the CPU. */
function judgeMps({ version, mps }: TorchReport, { expected, title }: HostMachine): Outcome {
    const facts = `torch ${version}, is_built() ${mps.built}, is_available() ${mps.available}`;
    if (expected.mps === "impossible" && !mps.available) {
        return unsupported(`${facts}: ${title}`);
    }
    if (!mps.available) {
        throw new CheckFailed(facts);
    }
    if (mps.error) {
        throw new CheckFailed(
            `${facts}, but without the CPU's help it cannot multiply: ${mps.error}`,
            "PYTORCH_ENABLE_MPS_FALLBACK=1 hides that, and the CPU computes. Type: ./carbon gpu install --anew",
        );
    }
    if (!mps.equal) {
        throw new CheckFailed(
            `${facts}, but the product on mps differs from the CPU's`,
            "Results of this torch cannot be trusted. Update macOS, then type: ./carbon gpu install --anew",
        );
    }
    if (expected.mps === "impossible") {
        throw new CheckFailed(`${facts}: it claims what ${title} cannot have`);
    }
    return passed(`${facts}, product equal to the CPU's`);
}

function judgeCuda({ version, cuda }: TorchReport, { kind, title }: HostMachine): Outcome {
    const facts = `torch ${version}, CUDA ${cuda.version ?? "not built in"}, is_available() ${cuda.available}`;
    if (kind !== "nvidia" && !cuda.available) {
        return unsupported(`${facts}: ${title}`);
    }
    if (!cuda.available) {
        throw new CheckFailed(facts);
    }
    if (cuda.error || !cuda.equal) {
        throw new CheckFailed(`${facts}: ${cuda.error ?? "the product on cuda differs from the CPU's"}`);
    }
    return passed(`${facts}, ${cuda.devices.join(", ")}, product equal to the CPU's`);
}

async function lookAtNvidia(probe: Probe): Promise<Outcome> {
    const query = ["--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"];
    const { missing, exitCode, stdout, reason } = await probe("nvidia-smi", query);
    if (missing) {
        return unsupported("nvidia-smi is not installed");
    }
    const gpus = lines(stdout);
    if (exitCode !== 0 || gpus.length === 0) {
        throw new CheckFailed(`nvidia-smi lists no GPU: ${reason}`);
    }
    return passed(gpus.join("; "));
}

async function lookAtTensorflow(
    { expected, title }: HostMachine,
    home: HostHome,
    probe: Probe,
): Promise<Outcome> {
    if (expected["tensorflow-metal"] !== "required") {
        return unsupported(`${title}: tensorflow-metal is for Apple Silicon`);
    }
    const report = await ask(
        { kernel: "mac-tensorflow", script: "tensorflow_probe.py", schema: tensorflowReport },
        home,
        probe,
    );
    if ("status" in report) {
        return report;
    }
    const facts = `TensorFlow ${report.version}, tensorflow-metal ${report.metal ?? "not installed"}, GPU ${report.gpus.length}`;
    if (!report.equal) {
        throw new CheckFailed(`${facts}: its product differs from NumPy's`);
    }
    if (!report.metal || report.gpus.length === 0) {
        throw new CheckFailed(facts);
    }
    return passed(`${facts}, product equal to NumPy's`);
}

async function lookAtMlx({ expected, title }: HostMachine, home: HostHome, probe: Probe): Promise<Outcome> {
    if (expected.mlx !== "required") {
        return unsupported(`${title}: MLX computes on Apple Silicon`);
    }
    const report = await ask({ kernel: "mac-mlx", script: "mlx_probe.py", schema: mlxReport }, home, probe);
    if ("status" in report) {
        return report;
    }
    const facts = `MLX ${report.version}, ${report.device}`;
    if (!report.device.includes("gpu") || !report.equal) {
        throw new CheckFailed(
            report.equal ? `${facts}: not on the GPU` : `${facts}: the product differs from the CPU's`,
        );
    }
    return passed(`${facts}, product equal to the CPU's`);
}

/** Vulkan on the Mac itself; no container has it, and nothing of the suite needs it. */
async function lookAtMoltenVk(isMac: boolean, probe: Probe): Promise<Outcome> {
    if (!isMac) {
        return unsupported("MoltenVK is for macOS");
    }
    const { missing, exitCode, stdout, reason } = await probe("vulkaninfo", ["--summary"], {
        maxBuffer: longest,
    });
    if (missing) {
        return skipped(
            "vulkaninfo is not installed; nothing of the suite needs MoltenVK",
            "brew install molten-vk vulkan-tools",
        );
    }
    const value = (name: string) => new RegExp(`^\\s*${name}\\s*= (.+)$`, "m").exec(stdout)?.[1];
    const device = value("deviceName");
    const driver = [value("driverName"), value("driverInfo")].filter(Boolean).join(" ");
    if (exitCode !== 0 || !device || !/moltenvk/i.test(driver)) {
        throw new CheckFailed(
            `vulkaninfo shows no device of MoltenVK: ${device ?? reason}`,
            "brew reinstall molten-vk",
        );
    }
    return passed(`${driver} on ${device}, Vulkan ${value("apiVersion") ?? "?"}`);
}
