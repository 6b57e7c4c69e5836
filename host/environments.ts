import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import * as path from "node:path";

/** The machines that kernels can run on beside Docker. */
export const machineKinds = ["apple-silicon", "intel-mac", "linux-amd64", "linux-arm64"] as const;
export type MachineKind = (typeof machineKinds)[number];

/** An environment of Python packages: a kernel's, or with `program` that of a server. */
export interface EnvironmentPins {
    /** Of the kernel, in JupyterLab's launcher. */
    title: string;
    /** What a user gets, in a few words. */
    gives: string;
    /** Disk that it takes. */
    megabytes: number;
    /** True where it is installed only when asked for by name. */
    optional?: boolean;
    /** True where it is no kernel: what it runs is in processes.ts. */
    program?: boolean;
    /** True where PyTorch's own index has a build without CUDA, see install.ts. */
    torch?: boolean;
    /** Exact requirements; the locks hold what they need in turn. */
    pins: string[];
}

/** A kind of machine. */
export interface MachinePins {
    title: string;
    /** uv's name of it. */
    platform: string;
    /** Absent but on a Mac. */
    oldestMacos?: string;
    /** Minor version, which all environments are made with. */
    python: string;
    /** What a kernel's name ends with in JupyterLab, so that it is told from the container's. */
    mark: string;
    environments: Record<string, EnvironmentPins>;
}

interface Download {
    url: string;
    sha256: string;
}

/** pins.json: what is installed on which kind of machine. */
export const pins = JSON.parse(readFileSync(path.join(__dirname, "pins.json"), "utf8")) as {
    /** uv itself, as PyPI has it. */
    uv: { version: string } & Record<MachineKind, Download>;
    gateway: string[];
    /** What each kernel has besides its own. */
    everyKernel: string[];
    machines: Record<MachineKind, MachinePins>;
};

/** The environment of the gateway, which has a lock like the others. */
export const gatewayEnvironment = "gateway";

/** The kind of a machine, by Node's names; undefined where no kernels can be had. */
export function machineKind(platform: string, arch: string): MachineKind | undefined {
    const kinds: Record<string, MachineKind> = {
        "darwin arm64": "apple-silicon",
        "darwin x64": "intel-mac",
        "linux x64": "linux-amd64",
        "linux arm64": "linux-arm64",
    };
    return kinds[`${platform} ${arch}`];
}

/** What a lock is made from: the machine's Python and platform, and the environment's exact requirements. */
export function lockedPins(kind: MachineKind, environment: string): string[] {
    const own = pins.machines[kind].environments[environment];
    if (environment === gatewayEnvironment) {
        return pins.gateway;
    }
    return own ? [...(own.program ? [] : pins.everyKernel), ...own.pins] : [];
}

/** The digest that a lock's header carries, of what it was made from. */
export function pinsDigest(kind: MachineKind, environment: string): string {
    const { python, platform, oldestMacos } = pins.machines[kind];
    const made = JSON.stringify([python, platform, oldestMacos, lockedPins(kind, environment)]);
    return createHash("sha256").update(made).digest("hex");
}

/** Path of a lock. */
export function hostLock(kind: MachineKind, environment: string): string {
    return path.join(__dirname, "locks", kind, `${environment}.lock`);
}

/** PyTorch and what its CUDA build needs, which `torch` environments have in a lock of their own. */
export function cudaLock(kind: MachineKind, environment: string): string {
    return hostLock(kind, `${environment}-cuda`);
}

/** Changes when an environment is to be made anew: with its locks. */
export function environmentDigest(kind: MachineKind, environment: string): string {
    const locks = [hostLock(kind, environment), cudaLock(kind, environment)].filter(existsSync);
    const hash = createHash("sha256").update(pins.machines[kind].python);
    for (const lock of locks) {
        hash.update(readFileSync(lock));
    }
    return hash.digest("hex");
}

/** The kernel for PyTorch. */
export function torchKernel(isMac: boolean): string {
    return isMac ? "mac-torch" : "host-torch";
}

/** The kernels of a machine that are installed unless others are asked for. */
export function usualKernels(kind: MachineKind): string[] {
    return kernelNames(kind).filter((name) => !pins.machines[kind].environments[name]?.optional);
}

/** Every kernel that a machine can have. */
export function kernelNames(kind: MachineKind): string[] {
    const { environments } = pins.machines[kind];
    return Object.keys(environments).filter((name) => !environments[name]?.program);
}
