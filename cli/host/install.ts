import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { unzipSync } from "fflate";
import { cudaLock, environmentDigest, hostLock, type MachineKind, pins } from "../../host/environments";
import { type HostHome, inHome, readIfThere, writePrivate } from "../../host/home";
import { UserError } from "../errors";
import type { Output } from "../output";
import { run, runInteractively } from "../process";
import type { HostMachine } from "./machine";
import { hostEnvironment, programOf, programText, scripts, stampFile } from "./processes";

/** What an installation works with. */
export interface Installation {
    home: HostHome;
    machine: HostMachine;
    output: Output;
    signal: AbortSignal;
    /** A Python of the user's to make environments with; uv brings one where it is absent. */
    python?: string;
}

/** PyTorch's own index of builds without CUDA. */
const torchIndex = "https://download.pytorch.org/whl/cpu";

/** Whether an environment is there as its locks have it. */
export function isCurrent(home: HostHome, kind: MachineKind, environment: string): boolean {
    return readStamp(home, environment) === environmentDigest(kind, environment);
}

/** Whether an environment is there at all. */
export function isInstalled(home: HostHome, environment: string): boolean {
    return readStamp(home, environment) !== undefined;
}

function readStamp(home: HostHome, environment: string): string | undefined {
    const file = stampFile(home, environment);
    // A Python of the system's that is gone takes the environment with it.
    return fs.existsSync(programOf(home, environment)) ? readIfThere(file)?.trim() : undefined;
}

/**
 * Makes the environments that are missing, and tells the gateway of the kernels.
 *
 * @param missing Names of environments.
 */
export async function installEnvironments(
    installation: Installation,
    missing: readonly string[],
    kernels: readonly string[],
): Promise<void> {
    const { home, machine } = installation;
    copyPrograms(home);
    if (missing.length > 0) {
        await ensureUv(installation);
        const python = await findPython(installation);
        for (const environment of missing) {
            await installEnvironment(installation, environment, python);
        }
        // Its files are the environments' own: only what is in none of them goes.
        fs.rmSync(inHome(home, "cache"), { recursive: true, force: true });
    }
    for (const kernel of kernels) {
        writeKernelspec(home, machine, kernel);
    }
}

/** The kernels that are there, and not among these. */
export function otherKernels(home: HostHome, kernels: readonly string[]): string[] {
    const folder = inHome(home, "kernels");
    return fs.existsSync(folder) ? fs.readdirSync(folder).filter((name) => !kernels.includes(name)) : [];
}

export function removeKernel(home: HostHome, name: string): void {
    fs.rmSync(inHome(home, "kernels", name), { recursive: true });
    removeEnvironment(home, name);
}

/** With all that a user has installed into it. */
export function removeEnvironment(home: HostHome, name: string): void {
    fs.rmSync(path.dirname(stampFile(home, name)), { recursive: true, force: true });
}

/** What runs must not depend on where the clone lies. */
function copyPrograms(home: HostHome): void {
    for (const script of scripts) {
        writePrivate(inHome(home, "lib", script), programText(script));
    }
}

/** uv itself, out of PyPI's wheel. */
async function ensureUv({ home, machine, output, signal }: Installation): Promise<void> {
    const { url, sha256 } = pins.uv[machine.kind];
    const program = inHome(home, "uv", "uv");
    const stamp = inHome(home, "uv", "sha256");
    if (readIfThere(stamp) === sha256) {
        return;
    }
    output.note(`Downloading uv ${pins.uv.version}, which makes the Python environments …`);
    fs.rmSync(inHome(home, "uv"), { recursive: true, force: true });
    fs.mkdirSync(inHome(home, "uv"), { mode: 0o700 });
    const wheel = inHome(home, "uv", "wheel");
    const limits = ["--connect-timeout", "10", "--speed-time", "30", "--speed-limit", "1000"];
    const flags = ["--fail", "--silent", "--show-error", "--location", ...limits, "--output", wheel];
    const { exitCode, reason } = await run("curl", [...flags, url], { cancelSignal: signal });
    if (exitCode !== 0) {
        throw new UserError(
            `uv could not be downloaded from ${url}: ${reason}. If your network inspects TLS, set CURL_CA_BUNDLE to its CA bundle (a PEM file).`,
        );
    }
    const bytes = fs.readFileSync(wheel);
    const found = createHash("sha256").update(bytes).digest("hex");
    if (found !== sha256) {
        throw new UserError(
            `What came from ${url} is not what host/pins.json names: its sha256 is ${found}, and should be ${sha256}.`,
        );
    }
    const [content] = Object.values(unzipSync(bytes, { filter: ({ name }) => name.endsWith("/scripts/uv") }));
    fs.writeFileSync(program, content ?? "", { mode: 0o700 });
    fs.rmSync(wheel);
    fs.writeFileSync(stamp, sha256, { mode: 0o600 });
}

/** uv keeps all that it brings in the host's folder, so that it goes with it, and heeds no configuration of the user's. */
function uvEnvironment(home: HostHome): Record<string, string> {
    return {
        ...hostEnvironment(),
        // Read from the machine's own store, too: networks that inspect TLS put their authority there.
        UV_SYSTEM_CERTS: "true",
        ...mirrors(),
        UV_NO_CONFIG: "true",
        UV_CACHE_DIR: inHome(home, "cache"),
        UV_PYTHON_INSTALL_DIR: inHome(home, "python"),
        PATH: `${process.env.PATH ?? ""}${pyenvFolders()}`,
    };
}

/** Where the user has uv get Python and packages from. */
function mirrors(): Record<string, string> {
    const names = ["UV_PYTHON_INSTALL_MIRROR", "UV_DEFAULT_INDEX"];
    const set = names.map((name) => [name, process.env[name] ?? ""] as const);
    return Object.fromEntries(set.filter(([, address]) => address));
}

/** pyenv's programs for `python3.12` answer only for the version that is chosen; the versions themselves lie here. */
function pyenvFolders(): string {
    const versions = path.join(
        process.env.PYENV_ROOT || path.join(process.env.HOME ?? "/", ".pyenv"),
        "versions",
    );
    const names = fs.existsSync(versions) ? fs.readdirSync(versions) : [];
    return names.map((name) => `:${path.join(versions, name, "bin")}`).join("");
}

async function uv({ home, output, signal }: Installation, args: readonly string[]): Promise<boolean> {
    const options = { env: uvEnvironment(home), extendEnv: false, signal, stdout: output.progressFd };
    return (await runInteractively(inHome(home, "uv", "uv"), args, options)) === 0;
}

/** The user's own, or the one that uv brings and knows the checksum of, or one that is on this machine already. */
async function findPython(installation: Installation): Promise<string> {
    const { home, machine, python, output } = installation;
    const { python: version } = pins.machines[machine.kind];
    if (python) {
        return ownPython(python, version);
    }
    const find = async (...args: string[]) => {
        const options = { env: uvEnvironment(home), timeout: 60_000 };
        const found = await run(inHome(home, "uv", "uv"), ["python", "find", ...args, version], options);
        return found.exitCode === 0 ? found.stdout.trim() : undefined;
    };
    const managed = ["--managed-python", "--no-python-downloads"];
    const there = await find(...managed);
    if (there) {
        return there;
    }
    output.note(`Downloading Python ${version} …`);
    const brought = await uv(installation, ["python", "install", "--no-bin", "--quiet", version]);
    const found = brought
        ? await find(...managed)
        : await find("--no-managed-python", "--no-python-downloads");
    if (!found) {
        throw new UserError(
            `Python ${version} could not be downloaded, and this machine has none. Install it, or name one: ./carbon gpu install --python /path/to/python${version}. UV_PYTHON_INSTALL_MIRROR names a mirror of its downloads.`,
        );
    }
    if (!brought) {
        output.note(`It could not be downloaded; this machine's own is taken: ${found}`);
    }
    return found;
}

async function ownPython(python: string, version: string): Promise<string> {
    const program = "import sys; print('%d.%d' % sys.version_info[:2])";
    const { exitCode, stdout, reason } = await run(python, ["-c", program], { timeout: 60_000 });
    if (exitCode !== 0 || stdout.trim() !== version) {
        throw new UserError(
            `--python ${JSON.stringify(python)}: ${exitCode === 0 ? `it is Python ${stdout.trim()}` : reason}. Allowed: a Python ${version}, for which this machine's packages are pinned.`,
        );
    }
    return path.resolve(python);
}

/** What a user has installed besides stays, unless Python itself changes. */
async function installEnvironment(
    installation: Installation,
    environment: string,
    python: string,
): Promise<void> {
    const { home, machine, output } = installation;
    const stamp = stampFile(home, environment);
    const folder = path.dirname(stamp);
    const { python: version, environments } = pins.machines[machine.kind];
    if (!isInstalled(home, environment) || !fs.existsSync(path.join(folder, "lib", `python${version}`))) {
        fs.rmSync(folder, { recursive: true, force: true });
    }
    if (isInstalled(home, environment)) {
        // What is interrupted here goes on from where it stopped.
        writePrivate(stamp, "incomplete\n");
    }
    output.note(`Installing ${environments[environment]?.gives ?? "the gateway"} …`);
    const interpreter = path.join(folder, "bin", "python");
    const made =
        fs.existsSync(interpreter) ||
        (await uv(installation, ["venv", "--quiet", "--no-project", "--python", python, folder]));
    const locked = ["--no-deps", "--require-hashes", "--only-binary", ":all:"];
    const ofLock = (lock: string) => [...locked, "--requirements", lock];
    const install = (args: string[]) =>
        uv(installation, ["pip", "install", "--python", interpreter, "--compile-bytecode", ...args]);
    const complete =
        made &&
        (await install(ofLock(hostLock(machine.kind, environment)))) &&
        (!environments[environment]?.torch ||
            (await installTorch(installation, environment, install, ofLock)));
    if (!complete) {
        throw new UserError(
            `${environment} could not be installed; the reason is above. Type the same command again: it goes on where this one stopped.`,
        );
    }
    writePrivate(stamp, `${environmentDigest(machine.kind, environment)}\n`);
}

/**
 * PyTorch: with CUDA where there is an NVIDIA GPU, else from its own index of CPU builds, by version and without a recorded
 * hash, which is on no public record; and where that is out of reach PyPI's CUDA build, which does not import without
 * CUDA's libraries, but does without Triton (1 GB).
 */
async function installTorch(
    { home, machine, output }: Installation,
    environment: string,
    install: (args: string[]) => Promise<boolean>,
    ofLock: (lock: string) => string[],
): Promise<boolean> {
    const lock = cudaLock(machine.kind, environment);
    if (machine.nvidia) {
        output.note(`PyTorch with CUDA, for ${machine.nvidia} …`);
        return install(ofLock(lock));
    }
    const own = pins.machines[machine.kind].environments[environment]?.pins ?? [];
    const torch = own.filter((pin) => pin.startsWith("torch"));
    if (await hasIndex()) {
        output.note("PyTorch's CPU build from its own index …");
        if (await install(["--no-deps", "--default-index", torchIndex, ...torch])) {
            return true;
        }
    }
    output.note(
        "PyTorch's own index cannot be reached. PyPI's build, which is for CUDA, is taken instead (3 GB) …",
    );
    const withoutTriton = inHome(home, "run", "torch.lock");
    const requirements = fs.readFileSync(lock, "utf8").split(/^(?=\w)/m);
    writePrivate(withoutTriton, requirements.filter((one) => !one.startsWith("triton==")).join(""));
    return install(ofLock(withoutTriton));
}

async function hasIndex(): Promise<boolean> {
    const flags = ["--fail", "--silent", "--head", "--location", "--max-time", "8", "--output", "/dev/null"];
    return (await run("curl", [...flags, `${torchIndex}/torch/`])).exitCode === 0;
}

/**
 * Variables that are read on the Mac itself: operations that Metal lacks run on the CPU instead of failing, and PyTorch
 * may take 1.7 times what Metal recommends, its own default. 0.0 would lift the limit, and can take a Mac down.
 */
const metalVariables = { PYTORCH_ENABLE_MPS_FALLBACK: "1", PYTORCH_MPS_HIGH_WATERMARK_RATIO: "1.7" };

/** kernel.json of a kernel, see https://jupyter-client.readthedocs.io/en/stable/kernels.html#kernel-specs. */
export function kernelspec(home: HostHome, { kind, nvidia }: HostMachine, kernel: string) {
    const { environments, mark } = pins.machines[kind];
    const bin = path.dirname(programOf(home, kernel));
    return {
        argv: [programOf(home, kernel), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        display_name: environments[kernel]?.title,
        language: "python",
        env: {
            // The environment's own programs first, pip among them.
            PATH: `${bin}:\${PATH}`,
            VIRTUAL_ENV: path.dirname(bin),
            ...(kind === "apple-silicon" && metalVariables),
        },
        metadata: { debugger: true, supported_encryption: "curve", mark: nvidia ? `${mark} GPU` : mark },
    };
}

function writeKernelspec(home: HostHome, machine: HostMachine, kernel: string): void {
    fs.mkdirSync(inHome(home, "kernels", kernel), { recursive: true, mode: 0o700 });
    const text = `${JSON.stringify(kernelspec(home, machine, kernel), null, 4)}\n`;
    writePrivate(inHome(home, "kernels", kernel, "kernel.json"), text);
}
