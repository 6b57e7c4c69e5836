import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { uptime } from "node:os";

/** By so much may the clock have been set since the machine started. */
const toleranceSeconds = 60;

/** Programs that lock a stack: this engine in Node.js, whose main thread newer versions give a name, and the Pulumi CLI. */
const lockers = /node|carbon|MainThread|pulumi/;

/**
 * Whether the process that wrote something down at a time is still at work: it exists, is no zombie, and has not got the
 * pid from another one since, as after a reboot. Where that cannot be told, it is: a run that is wrongly called dead
 * would lose its stack to another. The process's age is not asked, which a clock that was set since makes wrong.
 * @param start what `processStart` said of it at that time, where somebody asked.
 */
export function isAtWork(pid: number, { time, start }: { time: Date; start?: string }): boolean {
    if (!exists(pid)) {
        return false;
    }
    const { stdout } = spawnSync("ps", ["-ww", "-o", "stat=,comm=", "-p", String(pid)], {
        encoding: "utf8",
        // Wherever the user's own path leads.
        env: { ...process.env, PATH: `${process.env.PATH}:/usr/bin:/bin`, LC_ALL: "C" },
    });
    const [, state, program] = /^(\S+)\s+(.+)$/.exec(stdout?.trim() ?? "") ?? [];
    if (!state || !program) {
        // No `ps` here, or it may not show others' processes, or the process has just ended.
        return exists(pid);
    }
    if (/^[ZX]/.test(state)) {
        return false;
    }
    const now = processStart(pid);
    if (start !== undefined && now !== undefined) {
        return start === now;
    }
    const booted = Date.now() - uptime() * 1000;
    const isOfEarlierBoot = booted > time.getTime() + toleranceSeconds * 1000;
    // On a Mac it is the program's path.
    return lockers.test(program.replace(/^.*\//, "")) && !isOfEarlierBoot;
}

/**
 * What tells a process from any other that ever had its pid, whatever happens to the clock; undefined elsewhere than on
 * Linux.
 */
export function processStart(pid: number): string | undefined {
    try {
        const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
        // The name, which is in brackets and may hold any character, is before; `starttime` is the 22nd field of proc(5).
        const ticks = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\)/s, "").trim().split(" ")[19];
        return ticks && `${boot} ${ticks}`;
    } catch {
        return undefined;
    }
}

function exists(pid: number): boolean {
    try {
        process.kill(pid, 0);
        return true;
    } catch (error) {
        return (error as NodeJS.ErrnoException).code === "EPERM";
    }
}
