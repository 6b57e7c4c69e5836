/**
 * Refreshes both images' locks from their inputs: `npx tsx scripts/lock.ts [uv's arguments]`.
 *
 * Pins that the inputs still allow are kept; `--upgrade` takes the newest of everything, and
 * `--upgrade-package NAME` of one package. The toolsets are compiled together, once per platform, so that every
 * package has one version; then each toolset's lock holds what its inputs need and core does not have already.
 * A lock names versions and hashes, never a download host.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const DOCKERFILES = resolve(__dirname, "../dockerfiles");

/** Debian 13's Python, which the environment is built on. */
export const PYTHON_VERSION = "3.13";

/** Both platforms of the image: uv's name for it (Debian 13 has glibc 2.41) and the machine's own. */
export const PLATFORMS = [
    { uv: "x86_64-manylinux_2_40", machine: "x86_64" },
    { uv: "aarch64-manylinux_2_40", machine: "aarch64" },
] as const;

export type Machine = (typeof PLATFORMS)[number]["machine"];

/** The toolsets of the one environment. All but core are optional, and core is always there. */
export const TOOLSETS = ["core", "torch", "tensorflow", "llm", "spark", "notebooks", "apps"] as const;

/** Locks of the base image: programs and clients, each in an environment of its own. */
export const BASE_TOOLS = ["azure-cli", "database-clients"] as const;

/** Locks of what both images are made with. */
export const SHARED_TOOLS = ["installer", "node"] as const;

/** Locks of what looks into finished images. */
const SBOM_TOOLS = ["syft"] as const;

/** Locks that stand alone: tools that are not part of the environment. */
export const TOOLS = [
    ...SHARED_TOOLS,
    "llama-cpp-build",
    "java-kernel",
    ...BASE_TOOLS,
    ...SBOM_TOOLS,
] as const;

/** Folders of package.json files that npm locks. */
export const NPM_LOCKS = ["base/node", "base/claude", "base/mongosh", "compute/code-server"].map((folder) =>
    join(DOCKERFILES, folder),
);

/** PyTorch and what only its CUDA build needs: PyTorch's CPU index replaces the whole of this lock. */
export const CUDA_LOCK = "torch-cuda";
export const CUDA_PACKAGE = /^(torch|torchvision|triton|nvidia-.+|cuda-.+)$/;

/**
 * What nothing here can use, though torch's CUDA build asks for it: Triton compiles for GPUs, takes 1 GB, and its LLVM and
 * TensorFlow's end a process that loads both. install-torch takes it out of what torch says that it needs, too.
 */
const LEFT_OUT = /^triton$/;

/** The one package of the toolset `llm` that is compiled, in a stage of its own. */
export const LLAMA_LOCK = "llama-cpp";
const LLAMA_PACKAGE = /^llama-cpp-python$/;

/** Locks that stand beside the toolsets' and take the packages that match out of them. */
export const SEPARATE_LOCKS: Readonly<Record<string, RegExp>> = {
    [CUDA_LOCK]: CUDA_PACKAGE,
    [LLAMA_LOCK]: LLAMA_PACKAGE,
};

/** One locked package; `machine` is set where it is for one platform only. */
export interface Pin {
    name: string;
    version: string;
    hashes: string[];
    machine?: Machine;
}

const ENVIRONMENT_LOCKS = [...TOOLSETS, ...Object.keys(SEPARATE_LOCKS)];

/** Every lock by name, with the inputs that it is made from. All of the environment's are made from all inputs. */
export function lockInputs(): Record<string, readonly string[]> {
    const environment = ENVIRONMENT_LOCKS.map((name) => [name, TOOLSETS] as const);
    return Object.fromEntries([...environment, ...TOOLS.map((name) => [name, [name]] as const)]);
}

/** The digest that a lock's header carries, of the text of the inputs that it was made from. */
export function inputDigest(inputs: readonly string[]): string {
    const hash = createHash("sha256").update(PYTHON_VERSION);
    for (const input of inputs) {
        hash.update(`\n# ${input}\n`).update(readFileSync(inputFile(input)));
    }
    return hash.digest("hex");
}

export function inputFile(name: string): string {
    return join(requirementsFolder(name), `${name}.in`);
}

export function lockFile(name: string): string {
    return join(requirementsFolder(name), `${name}.lock`);
}

function requirementsFolder(name: string): string {
    if (SHARED_TOOLS.some((tool) => tool === name)) {
        return join(DOCKERFILES, "requirements");
    }
    if (SBOM_TOOLS.some((tool) => tool === name)) {
        return join(DOCKERFILES, "sbom", "requirements");
    }
    return join(DOCKERFILES, BASE_TOOLS.some((tool) => tool === name) ? "base" : "compute", "requirements");
}

/** Reads a requirements file with hashes, as uv writes it. Comments are skipped. */
export function parseLock(text: string): Pin[] {
    const requirements = text.replaceAll("\\\n", " ").split("\n");
    return requirements.filter((line) => /^[a-z0-9]/i.test(line)).map(parsePin);
}

function parsePin(line: string): Pin {
    const match = /^([a-z0-9._-]+)==(\S+)(?:\s*;\s*platform_machine == ['"](x86_64|aarch64)['"])?\s/i.exec(
        line,
    );
    if (!match?.[1] || !match[2]) {
        throw new Error(`Not a pinned requirement: ${line.slice(0, 120)}`);
    }
    const hashes = [...line.matchAll(/--hash=(sha256:[0-9a-f]{64})/g)].map((hash) => hash[1] ?? "");
    const pin = { name: match[1], version: match[2], hashes };
    return match[3] ? { ...pin, machine: match[3] as Machine } : pin;
}

function formatLock(name: string, inputs: readonly string[], pins: Pin[]): string {
    const header = [
        `# ${name}.lock: made by scripts/lock.ts from ${inputs.map((input) => `${input}.in`).join(", ")}. Do not edit.`,
        `# inputs: sha256:${inputDigest(inputs)}`,
    ];
    return `${[...header, ...pins.map(formatPin)].join("\n")}\n`;
}

export function formatPin(pin: Pin): string {
    const marker = pin.machine ? ` ; platform_machine == "${pin.machine}"` : "";
    return [`${pin.name}==${pin.version}${marker}`, ...pin.hashes.map((hash) => `    --hash=${hash}`)].join(
        " \\\n",
    );
}

/** What both platforms have in common once, then what only one of them has, sorted by name. */
function mergePlatforms(byMachine: Map<Machine, Pin[]>): Pin[] {
    const merged = new Map<string, Pin & { machines: Machine[] }>();
    for (const [machine, pins] of byMachine) {
        for (const pin of pins) {
            const key = `${pin.name}==${pin.version}`;
            merged.set(key, { ...pin, machines: [...(merged.get(key)?.machines ?? []), machine] });
        }
    }
    return [...merged.values()]
        .map(({ machines, ...pin }) =>
            machines.length === byMachine.size ? pin : { ...pin, machine: machines[0] },
        )
        .sort((a, b) => a.name.localeCompare(b.name, "en"));
}

/** A uv of the locked version, in a folder that is removed afterwards. */
export class Uv {
    private constructor(
        private readonly folder: string,
        private readonly program: string,
    ) {}

    static install(): Uv {
        const folder = mkdtempSync(join(tmpdir(), "carbon-lock-"));
        execFileSync("python3", ["-m", "venv", join(folder, "venv")]);
        const pip = join(folder, "venv/bin/pip");
        run(pip, ["install", "--quiet", "--require-hashes", "--requirement", lockFile("installer")]);
        return new Uv(folder, join(folder, "venv/bin/uv"));
    }

    remove(): void {
        rmSync(this.folder, { recursive: true });
    }

    /**
     * Resolves inputs for one platform. The file `output`, where it exists, holds the pins to prefer.
     *
     * @param constraints a requirements file whose versions are kept
     */
    compile(inputs: readonly string[], platform: string, options: CompileOptions): Pin[] {
        const output = join(this.folder, `${options.output}.${platform}.txt`);
        if (options.preferred) {
            copyFileSync(options.preferred, output);
        }
        return this.resolve(inputs.map(inputFile), { platform, python: PYTHON_VERSION }, output, [
            ...(options.constraints ? ["--constraints", options.constraints] : []),
            ...(options.arguments ?? []),
        ]);
    }

    /** Resolves files of requirements for a platform and a Python; pins that `output` holds already are preferred. */
    resolve(
        files: readonly string[],
        { platform, python }: { platform: string; python: string },
        output: string,
        args: readonly string[],
        env: Record<string, string> = {},
    ): Pin[] {
        const quietly = ["--quiet", "--no-config", "--no-header", "--no-annotate", "--generate-hashes"];
        const target = ["--no-emit-index-url", "--python-platform", platform, "--python-version", python];
        run(
            this.program,
            ["pip", "compile", ...quietly, ...target, "--output-file", output, ...args, ...files],
            env,
        );
        return parseLock(readFileSync(output, "utf8"));
    }

    /** A file with these lines, in the folder. */
    writeLines(name: string, lines: readonly string[]): string {
        const file = join(this.folder, name);
        writeFileSync(file, lines.map((line) => `${line}\n`).join(""));
        return file;
    }

    /** A file with these pins, in the folder. */
    write(name: string, pins: Pin[]): string {
        return this.writeLines(name, pins.map(formatPin));
    }
}

interface CompileOptions {
    output: string;
    constraints?: string;
    preferred?: string;
    arguments?: string[];
}

function run(program: string, args: readonly string[], env: Record<string, string> = {}): void {
    execFileSync(program, args, { stdio: ["ignore", "inherit", "inherit"], env: { ...process.env, ...env } });
}

/** The pins that the named locks hold now; a lock that is not there yet holds none. */
function currentPins(names: readonly string[]): Pin[] {
    const files = names.map(lockFile).filter((file) => existsSync(file));
    const pins = files.flatMap((file) => parseLock(readFileSync(file, "utf8")));
    return [...new Map(pins.map((pin) => [`${pin.name} ${pin.machine}`, pin])).values()];
}

/** The environment's locks, by name. */
function compileEnvironment(uv: Uv, args: string[]): Map<string, Pin[]> {
    const preferred = uv.write("current.txt", currentPins(ENVIRONMENT_LOCKS));
    const locks = new Map<string, Map<Machine, Pin[]>>();
    for (const platform of PLATFORMS) {
        console.log(`Resolving all toolsets for ${platform.machine} …`);
        const resolved = uv.compile(TOOLSETS, platform.uv, { output: "all", preferred, arguments: args });
        const all = resolved.filter(({ name }) => !LEFT_OUT.test(name));
        for (const [name, pins] of splitByToolset(uv, platform.uv, all)) {
            locks.set(name, (locks.get(name) ?? new Map()).set(platform.machine, pins));
        }
    }
    return new Map([...locks].map(([name, byMachine]) => [name, mergePlatforms(byMachine)]));
}

/** What each toolset adds to core. A package that two toolsets add has one version: `all` constrains both. */
function splitByToolset(uv: Uv, platform: string, all: Pin[]): Map<string, Pin[]> {
    const constraints = uv.write(`constraints.${platform}.txt`, all);
    const core = uv.compile(["core"], platform, { output: "core", constraints });
    const inCore = new Set(core.map((pin) => pin.name));
    const locks = new Map([["core", core]]);
    for (const toolset of TOOLSETS.filter((name) => name !== "core")) {
        const pins = uv.compile(["core", toolset], platform, { output: toolset, constraints });
        locks.set(
            toolset,
            pins.filter((pin) => !inCore.has(pin.name) && !isSeparate(pin)),
        );
    }
    for (const [name, packages] of Object.entries(SEPARATE_LOCKS)) {
        locks.set(
            name,
            all.filter((pin) => packages.test(pin.name)),
        );
    }
    return locks;
}

function isSeparate(pin: Pin): boolean {
    return Object.values(SEPARATE_LOCKS).some((packages) => packages.test(pin.name));
}

function compileTool(uv: Uv, name: string, args: string[]): Pin[] {
    const preferred = uv.write(`current.${name}.txt`, currentPins([name]));
    const compiled = PLATFORMS.map(
        ({ uv: platform, machine }) =>
            [machine, uv.compile([name], platform, { output: name, preferred, arguments: args })] as const,
    );
    return mergePlatforms(new Map(compiled));
}

/** npm resolves a folder's tree without installing it. */
function lockNpm(folder: string): void {
    const flags = [
        "--package-lock-only",
        "--ignore-scripts",
        "--omit-lockfile-registry-resolved",
        "--no-audit",
    ];
    execFileSync("npm", ["install", ...flags], { cwd: folder, stdio: ["ignore", "inherit", "inherit"] });
}

function main(args: string[]): void {
    const uv = Uv.install();
    try {
        const locks = compileEnvironment(uv, args);
        for (const tool of TOOLS) {
            locks.set(tool, compileTool(uv, tool, args));
        }
        const inputs = lockInputs();
        for (const [name, pins] of locks) {
            writeFileSync(lockFile(name), formatLock(name, inputs[name] ?? [name], pins));
            console.log(`${name}.lock: ${pins.length} packages`);
        }
    } finally {
        uv.remove();
    }
    for (const folder of NPM_LOCKS) {
        lockNpm(folder);
    }
}

if (require.main === module) {
    main(process.argv.slice(2));
}
