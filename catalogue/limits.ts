import type { ServiceLimits } from "./types";

/**
 * Options of Docker's log driver json-file, for every container: strangers can make a service write to its log. At most
 * 30 MB each.
 */
export const boundedLog = { "max-size": "10m", "max-file": "3" };

/**
 * Of a service whose start script, as root, sets owners right, and then runs the service as a user of its own.
 * Nothing that it starts gains rights afterwards.
 */
export const serviceLimits: ServiceLimits = {
    capabilities: ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID"],
    noNewPrivileges: true,
    processes: 512,
};

/** Of one whose threads multiply with processors or connections. */
export const threadedLimits: ServiceLimits = { ...serviceLimits, processes: 4096 };

/** Of an image that runs as root throughout, on files that are root's: what any user may do is enough. */
export const plainRootLimits: ServiceLimits = { ...threadedLimits, capabilities: [] };
