import { catalogueName, everyService, type ServiceSpec } from "../catalogue";
import type { ContainerDetails } from "./docker";
import { run } from "./process";

/** Memory of a container, in bytes. */
export interface Memory {
    used: number;
    /** Absent where there is none. */
    limit?: number;
    /** Programs in it that Linux has ended for want of memory since it started. */
    killed: number;
}

// Of cgroups version 2, and of version 1. There are those of one of them.
const files = [
    ...["memory.current", "memory.max", "memory.events", "memory.stat"],
    ...["usage_in_bytes", "limit_in_bytes", "oom_control", "stat"].map((name) => `memory/memory.${name}`),
].map((name) => `/sys/fs/cgroup/${name}`);
/** A limit that is none, as version 1 writes it, is larger than this. */
const endless = 2 ** 60;
const longest = 100_000;

/** What the kernel counts for the container; undefined where it does not run, or that cannot be seen. */
export async function readMemory({ Id, State }: ContainerDetails): Promise<Memory | undefined> {
    if (State.Status !== "running") {
        return undefined;
    }
    const { stdout } = await run("docker", ["exec", Id, "cat", ...files], {
        maxBuffer: longest,
        timeout: 10_000,
    });
    return parseMemory(stdout);
}

/** The four files, one after the other: two numbers, then pairs of name and number. */
export function parseMemory(text: string): Memory | undefined {
    const [current = "", max = "", ...pairs] = text.split("\n");
    const value = (name: string) =>
        Number(pairs.find((line) => line.startsWith(`${name} `))?.slice(name.length + 1) ?? 0);
    if (!/^\d+$/.test(current)) {
        return undefined;
    }
    return {
        // As `docker stats` counts: what Linux would give back at once is not in use.
        used: Math.max(Number(current) - value("inactive_file"), 0),
        ...(/^\d+$/.test(max) && Number(max) < endless && { limit: Number(max) }),
        killed: value("oom_kill"),
    };
}

/** The setting that a service's limit comes from. */
export function memorySetting(service: string): string {
    const spec: ServiceSpec | undefined = everyService.find(({ name }) => name === catalogueName(service));
    return `carbon:${typeof spec?.memory === "string" ? spec.memory : "serviceMemory"}`;
}
