import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { writeWholeSync } from "./write-whole";

/** Names that each machine has had, by a hash of its own id. */
const namesSchema = z.record(z.string(), z.array(z.string()));

/**
 * Every name that this machine has had at a lock of these states, the present one first: a Mac's follows the network.
 * The present one is noted in `machines.json` there. A machine without an id of its own has no other name.
 */
export function machineNames(stateDir: string, machine = machineId(), name = hostname()): string[] {
    if (!machine) {
        return [name];
    }
    const path = join(stateDir, "machines.json");
    const all = readNames(path);
    const former = (all[machine] ?? []).filter((other) => other !== name);
    if (all[machine]?.[0] !== name) {
        writeWholeSync(path, JSON.stringify({ ...all, [machine]: [name, ...former] }));
    }
    return [name, ...former];
}

/** A broken file is as none: then a former name is another machine's, whose locks stay. */
function readNames(path: string): z.infer<typeof namesSchema> {
    try {
        return existsSync(path) ? namesSchema.parse(JSON.parse(readFileSync(path, "utf8"))) : {};
    } catch {
        return {};
    }
}

/** A hash of what the system calls this machine by, whatever its name; undefined where it has no such id. */
function machineId(): string | undefined {
    const id = process.platform === "darwin" ? macId() : linuxId();
    return id && createHash("sha256").update(`carbon-engine ${id}`).digest("hex").slice(0, 32);
}

/** Containers of one image share its id, and neither sees the other's processes. */
function linuxId(): string | undefined {
    try {
        const id = readFileSync("/etc/machine-id", "utf8").trim();
        return id && `${id} ${readlinkSync("/proc/self/ns/pid")}`;
    } catch {
        return undefined;
    }
}

function macId(): string | undefined {
    try {
        const text = execFileSync("/usr/sbin/ioreg", ["-rd1", "-c", "IOPlatformExpertDevice"], {
            encoding: "utf8",
        });
        return /"IOPlatformUUID" = "([^"]+)"/.exec(text)?.[1];
    } catch {
        return undefined;
    }
}
