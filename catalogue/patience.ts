import type { HealthSpec } from "./types";

/** Seconds that any container may take until it is healthy, on a busy machine. */
export const leastPatience = 180;

/**
 * Seconds that a container which starts may take until it is healthy: its start period, in which a database may need to
 * recover, and the checks that may fail after it.
 */
export function patienceSeconds({
    startPeriod,
    interval,
    timeout,
    retries,
}: Pick<HealthSpec, "startPeriod" | "interval" | "timeout" | "retries">): number {
    const checks = retries * (seconds(interval) + seconds(timeout));
    return Math.max(leastPatience, seconds(startPeriod) + checks);
}

/** A duration of minutes and seconds in Go's canonical form ("1m30s"). */
function seconds(duration: string): number {
    const [, minutes = "0", rest = "0"] = /^(?:(\d+)m)?(\d+)s$/.exec(duration) ?? [];
    return Number(minutes) * 60 + Number(rest);
}
