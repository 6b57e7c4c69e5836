import * as fs from "node:fs";
import * as path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
    backupPath,
    checkpointFault,
    checkpointPath,
    checkpointTime,
    closedKeys,
    EngineError,
    forgetSalt,
    lockStack,
    newestCheckpoint,
    opensCheckpoint,
    removeDeadLocks,
    type StackLock,
} from "@carbon/engine";
import { UserError } from "./errors";
import { type Project, passphraseSource, projectName, readPassphrase } from "./project";
import { quoted } from "./quoted";
import { stackFlag } from "./stackFlag";

/** A stack of a project. */
export interface StackOf {
    project: Project;
    stack: string;
}

/** Which versions of state files an engine reads. */
export const newestStates = {
    embedded: newestCheckpoint,
    /** pkg/resource/stack/deployment.go of the Pulumi CLI. */
    pulumi: 4,
} as const;

/** The file of a stack's state in the project. */
export function stateFile({ project, stack }: StackOf): string {
    return checkpointPath(project.stateDir, projectName, stack);
}

/**
 * Refuses to work with a state file that is not whole, before an engine meets it.
 *
 * @param newest The newest version that the engine reads.
 * @throws UserError naming the file and the way back.
 */
export function ensureWholeState(of: StackOf, newest: number = newestStates.pulumi): void {
    const file = stateFile(of);
    const fault = checkpointFault(file, newest);
    if (!fault) {
        return;
    }
    const flag = stackFlag(of.stack);
    if (fault.startsWith("may not be read")) {
        throw new UserError(
            `The state file ${file} ${fault}. Type: sudo chown -R $(id -u) ${path.relative(process.cwd(), of.project.stateDir) || "."}`,
        );
    }
    const [backup] = backups(of, newest);
    throw new UserError(
        backup
            ? `The state file ${file} ${fault}. Type: ./carbon state restore${flag} (it puts back the backup of ${backup.time})`
            : `The state file ${file} ${fault}, and there is no backup of it. Type: ${wayWithout(flag)}`,
    );
}

/**
 * What a failure is about where the passphrase does not open the state.
 *
 * @returns undefined where it does, or there is no state.
 */
export async function passphraseFault(of: StackOf): Promise<UserError | undefined> {
    const file = stateFile(of);
    if (!fs.existsSync(file) || (await opensCheckpoint(file, readPassphrase(of.project, process.env)))) {
        return undefined;
    }
    return new UserError(
        `The passphrase in ${passphraseSource(of.project, process.env)} does not open the state file ${file}: put the one ` +
            `that it was made with there, or set PULUMI_CONFIG_PASSPHRASE to it. Where it is lost, type: ${wayWithout(stackFlag(of.stack))}`,
    );
}

/**
 * Sees to it that the stack's file goes with the passphrase, where there is no state that says which one it is: after the
 * loss of `.carbon`, a salt in the file would keep either engine from beginning anew.
 *
 * @returns a sentence where a salt that no value needs was taken out.
 * @throws UserError naming the values that the passphrase does not open.
 */
export async function ensureSettingsOpen(of: StackOf): Promise<string | undefined> {
    const { project, stack } = of;
    if (fs.existsSync(stateFile(of))) {
        return undefined;
    }
    const location = { projectDir: project.dir, stack, passphrase: readPassphrase(project, process.env) };
    const keys = await closedKeys(location);
    const file = `Pulumi.${stack}.yaml`;
    if (keys === undefined) {
        return undefined;
    }
    if (keys.length > 0) {
        throw new UserError(
            `The passphrase in ${passphraseSource(project, process.env)} does not open the encrypted values of ${file} ` +
                `(${keys.join(", ")}): put the one that they were made with there, or set PULUMI_CONFIG_PASSPHRASE to it. Where it is ` +
                "lost, take these values and encryptionsalt out of the file and set them anew. Nothing was changed.",
        );
    }
    await forgetSalt(location);
    return `Took the encryptionsalt of a lost passphrase out of ${file}; nothing in it was encrypted.`;
}

/** Removes dead locks of the stack's; returns those that stay. */
export function stackLocks(of: StackOf): StackLock[] {
    return removeDeadLocks(stackOf(of));
}

/**
 * Removes dead locks of the stack's and refuses to go on where another run holds it.
 *
 * @throws UserError saying who, since when, and what to type.
 */
export function ensureUnlocked(of: StackOf): void {
    const [lock] = stackLocks(of);
    if (lock) {
        throw new UserError(`${lock.description}. ${wayOut(lock, of.stack)}`);
    }
}

/**
 * Does something while no other run may change the stack, of `carbon` or of the Pulumi CLI: each meets the lock.
 *
 * @throws UserError or EngineError where another run holds it, saying who.
 */
export async function whileLocked<T>(of: StackOf, work: () => Promise<T>): Promise<T> {
    ensureUnlocked(of);
    return whileHeld(stackOf(of), work);
}

/**
 * Does something while no other `carbon sync` of the stack does: two would write over one another's notes of what is the
 * same. Everything else may go on meanwhile.
 *
 * @throws UserError or EngineError where another one is going on, saying whose it is.
 */
export async function whileSyncing<T>(of: StackOf, work: () => Promise<T>): Promise<T> {
    const own = { ...stackOf(of), project: `${projectName}-sync` };
    const [other] = removeDeadLocks(own);
    if (other) {
        throw stillHeld("Another `carbon sync` is going on.", other);
    }
    return whileHeld(own, work);
}

/**
 * Does something while no other run opens or closes the stack's tunnel. It waits for one that does: that takes as long as
 * ssh, and none of them changes what the others want.
 *
 * @throws UserError where another one does not come to its end, saying whose it is.
 */
export async function whileTunnelling<T>(
    of: StackOf & { signal: AbortSignal },
    work: () => Promise<T>,
): Promise<T> {
    const own = { ...stackOf(of), project: `${projectName}-tunnel` };
    const end = Date.now() + 90_000;
    while (true) {
        const [other] = removeDeadLocks(own);
        if (other && Date.now() > end) {
            throw stillHeld("Another run opens or closes the tunnel.", other);
        }
        let release: (() => void) | undefined;
        try {
            release = other ? undefined : lockStack(own.stateDir, own.project, own.stack);
        } catch (error) {
            // Of two that take it at once, neither may have it.
            if (!(error instanceof EngineError) || Date.now() > end) {
                throw error;
            }
        }
        if (release) {
            return work().finally(release);
        }
        await sleep(50 + Math.random() * 200, undefined, { signal: of.signal });
    }
}

function stillHeld(what: string, { description, path: file }: StackLock): UserError {
    return new UserError(
        `${what} ${description}. Wait for it to end; where it is gone, type: rm ${quoted(file)}`,
    );
}

/** Where the locks of a stack lie, as the engine has it. */
function stackOf({ project, stack }: StackOf) {
    return { stateDir: project.stateDir, project: projectName, stack };
}

async function whileHeld<T>(
    { stateDir, project, stack }: ReturnType<typeof stackOf>,
    work: () => Promise<T>,
): Promise<T> {
    const release = lockStack(stateDir, project, stack);
    try {
        return await work();
    } finally {
        release();
    }
}

function wayOut({ owner }: StackLock, stack: string): string {
    const cancel = `./carbon pulumi cancel --yes${stackFlag(stack)}`;
    if (!owner) {
        return `Where no other run is going on, type: ${cancel}`;
    }
    return owner.here
        ? `Wait for that run to end, or have it stop: kill -INT ${owner.pid}`
        : `Wait for that run to end; where it is gone, type: ${cancel}`;
}

/** What to type where a state is lost for good. */
export function wayWithout(flag: string): string {
    return `./carbon state forget${flag} (it sets the file aside), then: ./carbon up${flag}`;
}

/** A copy of a stack's state. */
export interface Backup {
    file: string;
    /** When it was written, in ISO 8601. */
    time: string;
}

/** The whole copies of a stack's state, newest first: the one beside it, and those that the Pulumi CLI keeps. */
export function backups(of: StackOf, newest: number = newestStates.pulumi): Backup[] {
    const folder = path.join(of.project.stateDir, ".pulumi", "backups", projectName, of.stack);
    const kept = fs.existsSync(folder) ? fs.readdirSync(folder).filter((file) => file.endsWith(".json")) : [];
    return [backupPath(stateFile(of)), ...kept.map((file) => path.join(folder, file))]
        .filter((file) => fs.existsSync(file) && checkpointFault(file, newest) === undefined)
        .map((file) => ({ file, time: checkpointTime(file) ?? "an unknown time" }))
        .sort((one, other) => Date.parse(other.time) - Date.parse(one.time) || 0);
}

/** When the stack was last deployed, as its state says; undefined where there is none in the project. */
export function lastUpdate(of: StackOf): string | undefined {
    ensureWholeState(of);
    const file = stateFile(of);
    return fs.existsSync(file) ? checkpointTime(file) : undefined;
}
