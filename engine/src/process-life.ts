import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

/**
 * `ps` counts whole seconds, and the clock is set by fractions of one now and then. Who takes over a pid within so many
 * seconds counts as its owner, which only keeps others waiting.
 */
const toleranceSeconds = 5;

/**
 * Whether the process that wrote something down at a time is still at work: it exists, is no zombie, and has not got the
 * pid from another one since, as after a reboot. Where that cannot be told, it is: a run that is wrongly called dead
 * would lose its stack to another.
 * @param start what `processStart` said of it at that time, where somebody asked.
 */
export function isAtWork(pid: number, { time, start }: { time: Date; start?: string }): boolean {
    if (!exists(pid)) {
        return false;
    }
    const { stdout } = spawnSync("ps", ["-o", "stat=,etime=", "-p", String(pid)], {
        encoding: "utf8",
        // Wherever the user's own path leads.
        env: { ...process.env, PATH: `${process.env.PATH}:/usr/bin:/bin`, LC_ALL: "C" },
    });
    const [state, age] = stdout?.trim().split(/\s+/) ?? [];
    if (!state || !age) {
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
    const began = Date.now() - seconds(age) * 1000;
    return !(began > time.getTime() + toleranceSeconds * 1000);
}

/**
 * What tells a process from any other that ever had its pid. On Linux, where the age that `ps` shows stands still while
 * a virtual machine sleeps and the clock is set afterwards; undefined elsewhere.
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

/** `[[days-]hours:]minutes:seconds`, as POSIX has `etime`. */
function seconds(age: string): number {
    const [clock = "", days = "0"] = age.split("-").reverse();
    return clock.split(":").reduce((sum, part) => sum * 60 + Number(part), 0) + Number(days) * 86_400;
}
