import { execFileSync } from "node:child_process";
import {
    existsSync,
    lstatSync,
    readdirSync,
    readFileSync,
    readlinkSync,
    realpathSync,
    statSync,
} from "node:fs";
import { homedir, hostname, userInfo } from "node:os";
import * as path from "node:path";
import type { Registries } from "./pulled";
import { type Server, sshArguments, strictSsh } from "./server";

/** The machine as far as the settings depend on it; tests hand in one of their own. */
export interface Machine {
    env: Record<string, string | undefined>;
    /** Home folder of the user. */
    home: string;
    /** Name of the user, or the number where it has none. */
    user: string;
    /** Folder of Pulumi.yaml. */
    projectDir: string;
    /** Node's name of the processor: `arm64`, `x64`, … */
    arch: string;
    /** Name that stays the same in every network; absent where there is none. */
    hostname?(): string;
    /** Contents of a text file, or undefined where there is none that can be read. */
    readFile(file: string): string | undefined;
    /** True when the path exists and is not a folder. */
    isNotFolder(file: string): boolean;
    /** Names of the sockets that lie directly in the folder; none where there is no such folder. */
    sockets(folder: string): string[];
    /**
     * The path without links, also of what does not exist yet: of its nearest folder that does, and of links that
     * lead to nothing. Undefined where links lead in a circle.
     */
    realpath(file: string): string | undefined;
    /** Node's name of the operating system: `darwin`, `linux`, … */
    platform: string;
    /**
     * MiB that Docker's machine has, which on a Mac is not this one; undefined where no Docker answers.
     *
     * @param environment Variables that have `docker` go there.
     */
    dockerMemory?(environment?: Record<string, string>): number | undefined;
    /** Processor of Docker's machine in Node's words; undefined where no Docker answers. */
    dockerArch?(environment?: Record<string, string>): string | undefined;
    /** Home folder of the user on a server; undefined where it does not answer. */
    serverHome?(server: Server): string | undefined;
    /** Where images to pull are looked up; registries and the Docker Engine when absent. */
    registries?: Registries;
    /** Name and e-mail address that the user signs with in git, as far as they are set. */
    gitIdentity?(): GitIdentity;
}

/** Who signs in git. */
export interface GitIdentity {
    name?: string;
    email?: string;
}

/** A path as users write it in the configuration: relative to the project's folder, or to their home with `~`. */
export function absolutePath(file: string, { home, projectDir }: Machine): string {
    const expanded = file === "~" || file.startsWith("~/") ? path.join(home, file.slice(1)) : file;
    return path.resolve(projectDir, expanded);
}

/** The machine that this process runs on. */
export function thisMachine(projectDir: string): Machine {
    return {
        env: process.env,
        home: homedir(),
        user: userName(),
        projectDir,
        arch: process.arch,
        hostname: () => (process.platform === "darwin" ? bonjourName() : undefined) ?? hostname(),
        readFile: (file) => (isFile(file) ? readFileSync(file, "utf8") : undefined),
        isNotFolder: (file) => existsSync(file) && !statSync(file).isDirectory(),
        sockets,
        realpath,
        platform: process.platform,
        dockerMemory: dockerMemoryOnce,
        dockerArch: dockerArchOnce,
        serverHome: serverHomeOnce,
        gitIdentity: gitIdentityOnce,
    };
}

function userName(): string {
    try {
        return userInfo().username;
    } catch {
        // A user without an entry, as in some containers.
        return String(process.getuid?.());
    }
}

/** A function that looks only once, as programs take their time and the machine stays the same. */
function once<T, Given extends unknown[]>(look: (...given: Given) => T): (...given: Given) => T {
    let found: { value: T } | undefined;
    return (...given) => {
        found ??= { value: look(...given) };
        return found.value;
    };
}

/** What a program prints; undefined where it is missing, fails or takes long. */
function printed(program: string, ...args: string[]): string | undefined {
    return printedIn({}, program, args);
}

function printedIn(
    environment: Record<string, string>,
    program: string,
    args: string[],
    timeout = 10_000,
): string | undefined {
    try {
        const env = { ...process.env, ...environment };
        const options = { cwd: homedir(), encoding: "utf8", stdio: "pipe", timeout, env } as const;
        return execFileSync(program, args, options).trim();
    } catch {
        return undefined;
    }
}

function dockerMemory(environment: Record<string, string> = {}): number | undefined {
    const bytes = Number(printedIn(environment, "docker", ["info", "--format", "{{.MemTotal}}"]));
    return bytes > 0 ? Math.floor(bytes / 1024 ** 2) : undefined;
}

function dockerArch(environment: Record<string, string> = {}): string | undefined {
    const arch = printedIn(environment, "docker", ["info", "--format", "{{.Architecture}}"]);
    return arch && (/^(aarch64|arm64)$/.test(arch) ? "arm64" : "x64");
}

const dockerArchOnce = once(dockerArch);

function serverHome(server: Server): string | undefined {
    const said = printedIn({}, "ssh", [...strictSsh, "-T", ...sshArguments(server), "pwd"], 30_000);
    // What a login says comes before.
    const last = said?.split("\n").at(-1);
    return last?.startsWith("/") ? last : undefined;
}

const serverHomeOnce = once(serverHome);

const dockerMemoryOnce = once(dockerMemory);

/** See Machine. */
export function gitIdentity(): GitIdentity {
    // Without Apple's developer tools, `git` on a Mac is a program that offers to install them.
    if (process.platform === "darwin" && printed("xcode-select", "--print-path") === undefined) {
        return {};
    }
    const value = (key: string) =>
        printed("git", "config", "--global", "--includes", "--get", key) || undefined;
    return { name: value("user.name"), email: value("user.email") };
}

const gitIdentityOnce = once(gitIdentity);

/** A Mac's own name in its network. The other one, gethostname's, is what the network of the day calls it. */
function bonjourName(): string | undefined {
    return printed("scutil", "--get", "LocalHostName");
}

function sockets(folder: string): string[] {
    try {
        const entries = readdirSync(folder).map((name) => ({ name, file: path.join(folder, name) }));
        return entries
            .filter(({ file }) => statSync(file, { throwIfNoEntry: false })?.isSocket())
            .map(({ name }) => name);
    } catch {
        // What cannot be read by whoever deploys is refused, or fails, elsewhere.
        return [];
    }
}

function isFile(file: string): boolean {
    return existsSync(file) && statSync(file).isFile();
}

/** As many links as Linux follows (MAXSYMLINKS). */
const mostLinks = 40;

/** See Machine. */
export function realpath(file: string, links = 0): string | undefined {
    try {
        return realpathSync.native(file);
    } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ELOOP" || links > mostLinks) {
            return undefined;
        }
    }
    const folder = realpath(path.dirname(file), links);
    if (folder === undefined) {
        return undefined;
    }
    const last = path.join(folder, path.basename(file));
    // A link to what does not exist yet: whoever makes the folder makes it there.
    return isLink(last) ? realpath(path.resolve(folder, readlinkSync(last)), links + 1) : last;
}

function isLink(file: string): boolean {
    return lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
}
