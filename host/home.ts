import { randomInt } from "node:crypto";
import * as fs from "node:fs";
import { homedir } from "node:os";
import * as path from "node:path";
import { z } from "zod";
import { machineKinds } from "./environments";
import { HostError } from "./error";

/** Where everything lies that the host's side of the suite needs; nobody but its user enters it. */
export interface HostHome {
    dir: string;
    /** True where CARBON_GPU_HOME names it, and there may be another one. */
    chosen: boolean;
}

/** A server that runs beside the gateway, in an environment of its own. */
const programSchema = z.object({
    /** Also of its log. */
    name: z.string().regex(/^[a-z][a-z-]*$/),
    /** One of pins.json that is marked as a program's. */
    environment: z.string(),
    /** File in lib/, see cli/host/install.ts. */
    script: z.string(),
    /** That it listens on, at the gateway's address. */
    port: z.int().min(1).max(65535),
    /** Besides `--address` and `--port`. `{home}` stands for the host's folder. Nothing secret. */
    arguments: z.array(z.string()),
});
export type HostProgram = z.infer<typeof programSchema>;

/** What the gateway reads besides the token. */
const configSchema = z.object({
    schema: z.literal(1),
    /** What its environments are made for. */
    machine: z.enum(machineKinds),
    /** Of this machine, that the gateway listens on. */
    address: z.string(),
    port: z.int().min(1).max(65535),
    /** By stack: the folder that is /workspace there. */
    workspaces: z.record(z.string(), z.string()),
    /** Kernels that are to be there; without one there is no gateway. */
    kernels: z.array(z.string()),
    /** Servers beside the gateway. */
    programs: z.array(programSchema).default([]),
});
export type HostConfig = z.infer<typeof configSchema>;

/** An empty file in a folder that is the suite's: nothing is removed where it is absent. */
const marker = ".carbon-gpu";

/** Everything that may lie in the folder, and goes with it. */
const contents = [
    ...["cache", "config.json", "envs", "gateway", "kernels", "lib", "llm-key", "logs", "models"],
    ...["processes.json", "python", "run", "token", "uv"],
];

/** What a command that was killed has left: unfinished files of {@link writePrivate}, and those of a check. */
const leftover = /^(?:.+\.new|verify-[0-9a-f]{24})$/;

/** The host's folder of whoever runs this. */
export function hostHome(env: NodeJS.ProcessEnv = process.env, platform = process.platform): HostHome {
    const chosen = env.CARBON_GPU_HOME;
    if (chosen) {
        return { dir: path.resolve(chosen), chosen: true };
    }
    const own =
        platform === "darwin"
            ? ["Library", "Application Support", "Carbon GPU"]
            : [".local", "share", "carbon-gpu"];
    return { dir: path.join(homedir(), ...own), chosen: false };
}

/** Path of something in the folder. */
export function inHome({ dir }: HostHome, ...parts: string[]): string {
    return path.join(dir, ...parts);
}

/**
 * Makes the folder, or narrows it to its owner.
 *
 * @throws UserError where it is somebody else's, or none.
 */
export function ensureHome({ dir, chosen }: HostHome): void {
    if (process.getuid?.() === 0 && process.env.SUDO_UID && !chosen) {
        throw new HostError("Kernels on this machine are their user's. Type the same command without sudo.");
    }
    fs.mkdirSync(path.dirname(dir), { recursive: true });
    if (!fs.existsSync(dir)) {
        fs.mkdirSync(dir, { mode: 0o700 });
    }
    const found = fs.lstatSync(dir);
    if (!found.isDirectory() || found.uid !== process.getuid?.()) {
        throw new HostError(
            `${dir} is not a folder of yours. Move it away, or run this as its owner and without sudo.`,
        );
    }
    if (!homeExists({ dir, chosen }) && fs.readdirSync(dir).length > 0) {
        throw new HostError(
            `${dir} has other files in it. Name a folder that is empty, or is not there yet, with CARBON_GPU_HOME.`,
        );
    }
    fs.chmodSync(dir, 0o700);
    fs.writeFileSync(path.join(dir, marker), "", { mode: 0o600 });
    for (const name of ["envs", "kernels", "lib", "logs", "models", "run"]) {
        fs.mkdirSync(path.join(dir, name), { recursive: true, mode: 0o700 });
    }
}

/** Whether the folder is there, and was made by {@link ensureHome}. */
export function homeExists({ dir }: HostHome): boolean {
    return fs.lstatSync(path.join(dir, marker), { throwIfNoEntry: false })?.isFile() ?? false;
}

/**
 * Removes the folder with everything of the suite's in it.
 *
 * @returns names of what is somebody else's, and stays with the folder.
 */
export function removeHome(home: HostHome): string[] {
    const { dir } = home;
    if (!homeExists(home)) {
        return [];
    }
    const own = fs.readdirSync(dir).filter((name) => contents.includes(name) || leftover.test(name));
    // The mark last: what is interrupted here can be removed again.
    for (const name of [...own, marker]) {
        fs.rmSync(path.join(dir, name), { recursive: true, force: true, maxRetries: 3 });
    }
    const left = fs.readdirSync(dir);
    if (left.length === 0) {
        fs.rmdirSync(dir);
    }
    return left;
}

/** Writes a file for its owner alone, whole or not at all. */
export function writePrivate(file: string, text: string): void {
    const unfinished = `${file}.new`;
    fs.rmSync(unfinished, { force: true });
    fs.writeFileSync(unfinished, text, { mode: 0o600, flag: "wx" });
    fs.renameSync(unfinished, file);
}

/** What the gateway was set to; undefined before it is installed. */
export function readConfig(home: HostHome): HostConfig | undefined {
    const file = inHome(home, "config.json");
    const text = readIfThere(file);
    if (text === undefined) {
        return undefined;
    }
    try {
        return configSchema.parse(JSON.parse(text));
    } catch {
        throw new HostError(
            `${file} is not as the suite writes it. Remove it and type: ./carbon gpu install`,
        );
    }
}

export function writeConfig(home: HostHome, config: HostConfig): void {
    writePrivate(inHome(home, "config.json"), `${JSON.stringify(config, null, 4)}\n`);
}

/** What servers here want to see: the gateway, with which code is run, and the LLM server. Each is a file. */
export type HostSecret = "token" | "llm-key";

/** Characters of a secret, all of them letters and digits. */
const secretLength = 48;
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** The secret without which a server answers nobody; undefined where there is none. */
export function readSecret(home: HostHome, name: HostSecret): string | undefined {
    const secret = readIfThere(inHome(home, name))?.trim();
    return secret && /^[A-Za-z0-9]{48}$/.test(secret) ? secret : undefined;
}

/** Makes a new one. */
export function renewSecret(home: HostHome, name: HostSecret): string {
    const secret = Array.from({ length: secretLength }, () => alphabet[randomInt(alphabet.length)]).join("");
    writePrivate(inHome(home, name), `${secret}\n`);
    return secret;
}

/**
 * The text of a file; undefined where there is none.
 *
 * @throws HostError where it cannot be read.
 */
export function readIfThere(file: string): string | undefined {
    try {
        return fs.readFileSync(file, "utf8");
    } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") {
            return undefined;
        }
        throw new HostError(`${file} cannot be read: ${(error as Error).message}`);
    }
}
