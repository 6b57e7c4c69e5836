import { printableLine } from "../printable";
import type { Share, SwarmNode } from "./documents";

/** A node's name for a user. */
export function nodeName({ Description }: SwarmNode): string {
    return printableLine(Description.Hostname);
}

/** Whether it takes containers at all. */
export function isReady({ Status, Spec }: SwarmNode): boolean {
    return Status.State === "ready" && Spec.Availability === "active";
}

/** Whether every placement constraint holds for a node, as Swarm counts (swarmkit, manager/constraint). */
export function matches(node: SwarmNode, constraints: readonly string[]): boolean {
    return constraints.every((constraint) => {
        const [, key = "", operator = "", value = ""] = /^(\S+?) ?(==|!=) ?(.+)$/.exec(constraint) ?? [];
        const isEqual = keyOf(node, key)?.toLowerCase() === value.toLowerCase();
        return isEqual === (operator === "==");
    });
}

function keyOf({ ID, Spec, Description }: SwarmNode, key: string): string | undefined {
    const [, owner, label] = /^(node|engine)\.labels\.(.+)$/.exec(key) ?? [];
    if (label) {
        return (owner === "node" ? Spec.Labels : Description.Engine.Labels)[label] ?? "";
    }
    const { Architecture, OS } = Description.Platform;
    const known: Record<string, string> = {
        "node.id": ID,
        "node.hostname": Description.Hostname,
        "node.role": Spec.Role,
        "node.platform.os": OS,
        "node.platform.arch": Architecture,
    };
    return known[key];
}

/**
 * Containers with such a share that a node has room for.
 *
 * @param reserved What others have to themselves there; as if it were empty when absent.
 */
export function roomOf(
    { Description }: SwarmNode,
    cpus: number,
    mebibytes: number,
    reserved: readonly Share[] = [],
): number {
    const { NanoCPUs = 0, MemoryBytes = 0 } = Description.Resources ?? {};
    const freeCpus = reserved.reduce((left, share) => left - (share.NanoCPUs ?? 0), NanoCPUs);
    const freeBytes = reserved.reduce((left, share) => left - (share.MemoryBytes ?? 0), MemoryBytes);
    return Math.max(0, Math.floor(Math.min(freeCpus / 1e9 / cpus, freeBytes / 1024 ** 2 / mebibytes)));
}
