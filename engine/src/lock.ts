import { randomUUID } from "node:crypto";
import { existsSync, readdirSync, rmSync } from "node:fs";
import { hostname, userInfo } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { EngineError } from "./engine-error";
import { machineNames } from "./machine-names";
import { isAtWork, processStart } from "./process-life";
import { readDocument } from "./read-document";
import { privateFolder } from "./state";
import { draftOf, writeWholeSync } from "./write-whole";

/** What a lock file says; the same as the real CLI's (pkg/backend/diy/lock.go), so each respects the other's. */
const lockSchema = z.looseObject({
    pid: z.int().positive(),
    username: z.string(),
    hostname: z.string(),
    timestamp: z.string(),
    /** This engine's alone: `processStart` of the owner. */
    start: z.string().optional(),
});
type LockContent = z.infer<typeof lockSchema>;

/** A lock that keeps others out. */
export interface StackLock {
    path: string;
    /** Absent where the file cannot be read, so that nobody knows whose it is. */
    owner?: {
        pid: number;
        username: string;
        hostname: string;
        /** When it was taken, in ISO 8601. */
        since: string;
        /** It is a process of this machine, and alive. */
        here: boolean;
    };
    /** A sentence about it, without the full stop: whose it is and since when, or that it cannot be read. */
    description: string;
}

/** Which stack's locks. */
export interface LockedStack {
    stateDir: string;
    project: string;
    stack: string;
}

/**
 * Locks a stack against every other run, of this engine or of the Pulumi CLI. Dead locks are removed first.
 * @returns releases the lock.
 * @throws EngineError naming the holder.
 */
export function lockStack(stateDir: string, project: string, stack: string): () => void {
    const dir = privateFolder(stateDir, ...folderOf(project, stack));
    const mine = join(dir, `${randomUUID()}.json`);
    const content: LockContent = {
        pid: process.pid,
        username: userInfo().username,
        hostname: hostname(),
        timestamp: new Date().toISOString(),
        start: processStart(process.pid),
    };
    // Elsewhere first: the CLI takes every file in the folder for a lock, and half a one for an error.
    writeWholeSync(mine, JSON.stringify(content), draftOf(join(stateDir, ".lock")));
    const release = () => rmSync(mine, { force: true });
    try {
        // Written first and looked around after: of two that start at once, neither overlooks the other.
        const [other] = removeDeadLocks({ stateDir, project, stack }, mine);
        if (other) {
            throw new EngineError(`${other.description}: wait for that run to end.`);
        }
    } catch (error) {
        release();
        throw error;
    }
    return release;
}

/**
 * Removes the locks whose owners, processes of this machine, are gone: ended, a zombie, or from before a reboot. One of
 * an unknown machine stays, and so does one that cannot be read.
 * @param except a lock that is the caller's own.
 * @returns those that stay.
 */
export function removeDeadLocks({ stateDir, project, stack }: LockedStack, except?: string): StackLock[] {
    const paths = lockFiles({ stateDir, project, stack }).filter((path) => path !== except);
    // Also where there is no lock: the name that this machine has now is one that it may have had later.
    const names = machineNames(privateFolder(stateDir));
    return paths.flatMap((path) => {
        const lock = readLock(path, stack, names);
        if (lock?.owner?.here === false && names.includes(lock.owner.hostname)) {
            // Each lock has a name of its own for ever, so this removes no newer one.
            rmSync(path, { force: true });
            return [];
        }
        return lock ? [lock] : [];
    });
}

/**
 * Removes all locks of a stack, dead or not, as `pulumi cancel` does.
 * @returns how many there were.
 */
export function removeLocks(stack: LockedStack): number {
    const paths = lockFiles(stack);
    for (const path of paths) {
        rmSync(path, { force: true });
        rmSync(`${path}.attrs`, { force: true });
    }
    return paths.length;
}

function folderOf(project: string, stack: string): string[] {
    return [".pulumi", "locks", "organization", project, stack];
}

function lockFiles({ stateDir, project, stack }: LockedStack): string[] {
    const dir = join(stateDir, ...folderOf(project, stack));
    // The CLI lays a file `.json.attrs` beside each of its locks.
    const files = existsSync(dir) ? readdirSync(dir).filter((file) => file.endsWith(".json")) : [];
    return files.map((file) => join(dir, file));
}

/** @returns undefined when the holder released the lock in the meantime. */
function readLock(path: string, stack: string, names: readonly string[]): StackLock | undefined {
    try {
        const content = readDocument(path, lockSchema);
        if (!content) {
            return undefined;
        }
        const { pid, username, hostname, timestamp: since, start } = content;
        const here = names.includes(hostname) && isAtWork(pid, { time: new Date(since), start });
        const description = `Stack '${stack}' is locked by ${username}@${hostname} (pid ${pid}) since ${since}`;
        return { path, owner: { pid, username, hostname, since, here }, description };
    } catch {
        if (!existsSync(path)) {
            return undefined;
        }
        return {
            path,
            description: `The lock file ${path} is unreadable, so that nobody knows who holds stack '${stack}'`,
        };
    }
}
