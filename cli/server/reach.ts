import { accessSync, constants, mkdirSync } from "node:fs";
import { homedir } from "node:os";
import * as path from "node:path";
import { readStackFile } from "@carbon/engine";
import { chosenEngine, whyNotEngine } from "../../settings/dockerContext";
import { thisMachine } from "../../settings/machine";
import { settingDefinitions } from "../../settings/schema";
import type { Server } from "../../settings/server";
import { UserError } from "../errors";
import type { Project } from "../project";
import { readSettings } from "../stackSettings";

/** Folder of the `ssh` that keeps one connection for all. */
const wrapper = path.join(__dirname, "bin");
/** Bytes that the path of a socket may have, on a Mac, without what ssh adds to it while it makes one (sun_path). */
const longestSocket = 104 - 18;

/**
 * Has `docker`, and whatever else this command starts, go where the stack lives: the one place where the setting
 * `dockerContext` takes effect for all of them.
 *
 * @throws SettingsError where the setting is wrong; UserError where the environment contradicts it.
 */
export function goWhereItLives(project: Project, stack: string): void {
    const machine = thisMachine(project.dir);
    const setting = readSetting(project, stack);
    const reason = whyNotEngine(setting, machine);
    if (reason) {
        throw new UserError(`carbon:dockerContext of the stack ${stack} is ${setting}: ${reason}`);
    }
    const { environment, server } = chosenEngine(setting, machine);
    if (environment) {
        // A host rules a context out, and the Docker provider has it the other way round.
        delete process.env.DOCKER_CONTEXT;
        Object.assign(process.env, environment);
    }
    if (server) {
        shareConnection();
    }
}

/** The machine that `docker` goes to, where it is reached over SSH. */
export function currentServer(): Server | undefined {
    return chosenEngine("auto", thisMachine(process.cwd())).server;
}

/** Path for a socket of ssh's, in a folder that is its user's alone; undefined where a path there would be too long. */
export function controlSocket(name: string): string | undefined {
    const file = path.join(sshFolder(), `carbon-${name}`);
    // %C stands for 40 characters.
    return file.replace("%C", "x".repeat(40)).length <= longestSocket ? file : undefined;
}

function sshFolder(): string {
    return path.join(homedir(), ".ssh");
}

/** The `ssh` of the user's PATH. */
export function ownSsh(): string {
    return process.env.CARBON_SSH ?? "ssh";
}

/** What is wrong with all else is for those to say who need it. */
function readSetting(project: Project, stack: string): string {
    let value: unknown;
    try {
        const { config } = readStackFile(project.dir, stack);
        // Pulumi takes a key without a namespace for one of the project's.
        value = config["carbon:dockerContext"] ?? config.dockerContext;
    } catch {
        // No file, or one that cannot be read: whoever needs its settings says so.
    }
    const { rule, default: usual } = settingDefinitions.dockerContext;
    const { success, data } = rule.schema.safeParse(value ?? usual);
    // With every other problem.
    return success ? data : readSettings(project, stack).dockerContext;
}

function shareConnection(): void {
    const folders = (process.env.PATH ?? "").split(path.delimiter);
    const ssh = findSsh(folders);
    // Without any, Docker says so.
    if (folders[0] === wrapper || !ssh) {
        return;
    }
    mkdirSync(sshFolder(), { recursive: true, mode: 0o700 });
    process.env.CARBON_SSH = ssh;
    process.env.CARBON_SSH_CONTROL = controlSocket("%C") ?? "none";
    process.env.PATH = [wrapper, ...folders].join(path.delimiter);
}

function findSsh(folders: string[]): string | undefined {
    return folders
        .filter((folder) => folder)
        .map((folder) => path.join(folder, "ssh"))
        .find((file) => {
            try {
                accessSync(file, constants.X_OK);
                return true;
            } catch {
                return false;
            }
        });
}
