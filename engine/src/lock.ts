import { randomUUID } from "node:crypto";
import { existsSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { hostname, userInfo } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { EngineError } from "./engine-error";
import { readDocument } from "./read-document";
import { privateFolder } from "./state";

/** What a lock file says; the same as the real CLI's (pkg/backend/diy/lock.go), so each respects the other's. */
const lockSchema = z.looseObject({
    pid: z.int().positive(),
    username: z.string(),
    hostname: z.string(),
    timestamp: z.string(),
});
type LockContent = z.infer<typeof lockSchema>;

/**
 * Locks a stack against every other run, of this engine or of the Pulumi CLI.
 * A lock that a dead process of this machine left behind is removed.
 * @returns releases the lock.
 * @throws EngineError naming the holder.
 */
export function lockStack(stateDir: string, project: string, stack: string): () => void {
    const dir = privateFolder(stateDir, ".pulumi", "locks", "organization", project, stack);
    const mine = join(dir, `${randomUUID()}.json`);
    const content: LockContent = {
        pid: process.pid,
        username: userInfo().username,
        hostname: hostname(),
        timestamp: new Date().toISOString(),
    };
    writeFileSync(mine, JSON.stringify(content), { mode: 0o600 });
    const release = () => rmSync(mine, { force: true });
    try {
        // Written first and looked around after: of two that start at once, neither overlooks the other.
        refuseOthers(dir, mine, stack);
    } catch (error) {
        release();
        throw error;
    }
    return release;
}

function refuseOthers(dir: string, mine: string, stack: string): void {
    // The CLI lays a file `.json.attrs` beside each of its locks.
    const locks = readdirSync(dir).filter((file) => file.endsWith(".json"));
    for (const path of locks.map((file) => join(dir, file)).filter((file) => file !== mine)) {
        const holder = readLock(path);
        if (holder?.hostname === hostname() && !isAlive(holder.pid)) {
            rmSync(path, { force: true });
        } else if (holder) {
            throw new EngineError(
                `Stack '${stack}' is locked by ${holder.username}@${holder.hostname} (pid ${holder.pid}) since ` +
                    `${holder.timestamp}: wait for that run to end, or, if it is gone, delete ${path}.`,
            );
        }
    }
}

/** @returns undefined when the holder released the lock in the meantime. */
function readLock(path: string): LockContent | undefined {
    try {
        return readDocument(path, lockSchema);
    } catch {
        if (!existsSync(path)) {
            return undefined;
        }
        throw new EngineError(`The lock file ${path} is unreadable: if no other run is going on, delete it.`);
    }
}

function isAlive(pid: number): boolean {
    try {
        process.kill(pid, 0);
        return true;
    } catch (error) {
        return (error as NodeJS.ErrnoException).code === "EPERM";
    }
}
