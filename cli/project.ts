import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { messageOf, UserError } from "./errors";

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
    return {
        dir,
        stateDir: path.join(dir, ".carbon", "state"),
        toolsDir: path.join(dir, ".carbon", "tools"),
    };
}

/**
 * File with the passphrase that encrypts the stacks' secrets, made at first need and readable by its owner alone.
 * Whoever sets PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE does without it.
 */
function passphraseFile(project: Project): string {
    const file = path.join(project.dir, ".carbon", "passphrase");
    if (!fs.existsSync(file)) {
        fs.mkdirSync(path.dirname(file), { recursive: true });
        // "wx": two commands started at once must not each make one of their own.
        fs.writeFileSync(file, `${randomBytes(24).toString("base64url")}\n`, { mode: 0o600, flag: "wx" });
    }
    return file;
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

/** When the stack was last deployed, as its checkpoint says; undefined where there is none in the project. */
export function lastUpdate(project: Project, stack: string): string | undefined {
    const file = path.join(project.stateDir, ".pulumi", "stacks", "carbon", `${stack}.json`);
    if (!fs.existsSync(file)) {
        return undefined;
    }
    return JSON.parse(fs.readFileSync(file, "utf8")).checkpoint?.latest?.manifest?.time;
}
