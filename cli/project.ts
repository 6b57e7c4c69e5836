import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { fileURLToPath } from "node:url";
import { draftOf } from "@carbon/engine";
import { messageOf, UserError } from "./errors";
import { stackFlag } from "./stackFlag";

/** The project's name in Pulumi.yaml, by which Pulumi files its states. */
export const projectName = "carbon";

/** Where a project keeps what the command needs. */
export interface Project {
    /** Folder of Pulumi.yaml. */
    dir: string;
    /** Root of Pulumi's file backend; it holds `.pulumi/`. */
    stateDir: string;
    /** Tools that the set-up installed for this project alone. */
    toolsDir: string;
}

/** The project that this command lies in, or the one that CARBON_PROJECT_DIR names. */
export function findProject(env: NodeJS.ProcessEnv): Project {
    const dir = path.resolve(env.CARBON_PROJECT_DIR || path.join(__dirname, ".."));
    if (!fs.existsSync(path.join(dir, "Pulumi.yaml"))) {
        throw new UserError(`There is no Pulumi.yaml in ${dir}.`);
    }
    const own = path.join(dir, ".carbon");
    narrow(own);
    return { dir, stateDir: path.join(own, "state"), toolsDir: path.join(own, "tools") };
}

/** Path of a file of the command's own in the project, in a folder that only its owner enters. */
export function ownFile(project: Project, name: string): string {
    const own = path.join(project.dir, ".carbon");
    fs.mkdirSync(own, { recursive: true, mode: 0o700 });
    return path.join(own, name);
}

/**
 * Keeps a folder for its owner alone, which older versions and the set-up's scripts made wider: states hold names,
 * addresses and encrypted passwords, and so do the Pulumi CLI's backups of them. A link is left alone.
 */
function narrow(folder: string): void {
    const found = fs.lstatSync(folder, { throwIfNoEntry: false });
    const owner = process.getuid?.();
    if (found?.isDirectory() && found.mode & 0o077 && (owner === 0 || found.uid === owner)) {
        fs.chmodSync(folder, 0o700);
    }
}

/**
 * File with the passphrase that encrypts the stacks' secrets, made at first need and readable by its owner alone.
 * Whoever sets PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE does without it.
 *
 * @throws UserError where it is gone and a state needs it: with another one that state could not be opened; and where it
 * is empty.
 */
function passphraseFile(project: Project): string {
    const file = ownFile(project, "passphrase");
    if (!fs.existsSync(file)) {
        ensureNoneNeeded(project, file);
        makePassphrase(file);
    } else if (fs.statSync(file).size === 0) {
        throw new UserError(
            `The passphrase file ${file} is empty, as a full disk leaves it. Put a copy of it back; where there is none, type: ` +
                `rm ${file} (the next command makes another, unless a state needs this one)`,
        );
    }
    return file;
}

/** Whole or not at all; of two commands that start at once, both take the one that is there first. */
function makePassphrase(file: string): void {
    const draft = draftOf(file);
    try {
        fs.writeFileSync(draft, `${randomBytes(24).toString("base64url")}\n`, {
            mode: 0o600,
            flag: "wx",
            flush: true,
        });
        fs.linkSync(draft, file);
    } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") {
            throw error;
        }
    } finally {
        fs.rmSync(draft, { force: true });
    }
}

function ensureNoneNeeded(project: Project, file: string): void {
    const folder = statesFolder(project);
    const states = fs.existsSync(folder)
        ? fs.readdirSync(folder).filter((name) => name.endsWith(".json"))
        : [];
    const needing = states.find((name) => isEncrypted(path.join(folder, name)));
    if (needing) {
        const flag = stackFlag(path.basename(needing, ".json"));
        throw new UserError(
            `The passphrase file ${file} is gone, and the state file ${path.join(folder, needing)} is encrypted with it: put a copy ` +
                `of it back, or set PULUMI_CONFIG_PASSPHRASE. Where it is lost, type: ./carbon state forget${flag} (it sets the ` +
                `file aside), then: ./carbon up${flag}`,
        );
    }
}

/** By a word, as a state that is cut short needs its passphrase, too. */
function isEncrypted(file: string): boolean {
    try {
        return fs.readFileSync(file, "utf8").includes('"salt"');
    } catch {
        return false;
    }
}

/** Where the passphrase comes from, to be named in a sentence. */
export function passphraseSource(project: Project, env: NodeJS.ProcessEnv): string {
    return passphraseEnv(project, env).PULUMI_CONFIG_PASSPHRASE_FILE ?? "PULUMI_CONFIG_PASSPHRASE";
}

/** The variables that tell Pulumi the passphrase: the user's own, or else the project's file. */
export function passphraseEnv(project: Project, env: NodeJS.ProcessEnv): Record<string, string> {
    // An empty passphrase is one, too.
    if (env.PULUMI_CONFIG_PASSPHRASE !== undefined) {
        return { PULUMI_CONFIG_PASSPHRASE: env.PULUMI_CONFIG_PASSPHRASE };
    }
    return { PULUMI_CONFIG_PASSPHRASE_FILE: env.PULUMI_CONFIG_PASSPHRASE_FILE || passphraseFile(project) };
}

/**
 * The passphrase itself.
 *
 * @throws UserError when PULUMI_CONFIG_PASSPHRASE_FILE names a file that cannot be read.
 */
export function readPassphrase(project: Project, env: NodeJS.ProcessEnv): string {
    const { PULUMI_CONFIG_PASSPHRASE: passphrase, PULUMI_CONFIG_PASSPHRASE_FILE: file } = passphraseEnv(
        project,
        env,
    );
    if (passphrase !== undefined) {
        return passphrase;
    }
    try {
        return fs.readFileSync(file ?? "", "utf8").trim();
    } catch (error) {
        throw new UserError(`The passphrase file cannot be read: ${messageOf(error)}`);
    }
}

/** Folder of the file backend's states, `<stack>.json` each; absent before the first deployment. */
export function statesFolder(project: Project): string {
    return path.join(project.stateDir, ".pulumi", "stacks", projectName);
}

/**
 * Whether the states are in the project's own backend: no other is named, or that one by its address. Another one is for
 * the Pulumi CLI to judge.
 */
export function hasOwnBackend(project: Project, env: NodeJS.ProcessEnv): boolean {
    const { PULUMI_BACKEND_URL: url } = env;
    if (!url) {
        return true;
    }
    try {
        return path.relative(project.stateDir, fileURLToPath(url)) === "";
    } catch {
        return false;
    }
}
