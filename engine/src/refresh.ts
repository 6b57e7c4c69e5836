import { isDeepStrictEqual } from "node:util";
import { type Contexts, subjectOf } from "./contexts";
import { diffProps } from "./diff";
import { driverFor } from "./drivers";
import type { Counts, Display } from "./events";
import type { Limiter } from "./limiter";
import type { Snapshot } from "./snapshot";
import type { ResourceState } from "./state";

/**
 * Looks at every real thing and notes in the snapshot what it finds: outputs as they are now, and nothing for what
 * is gone. @returns how many differed (`update`) or were gone (`delete`).
 */
export async function refreshSnapshot(
    snapshot: Snapshot,
    contexts: Contexts,
    limiter: Limiter,
    display: Display,
): Promise<Counts> {
    const counts: Counts = { create: 0, update: 0, replace: 0, delete: 0, same: 0 };
    const resources = snapshot.resources();
    for (const resource of resources) {
        contexts.addProvider(resource);
    }
    const readable = resources.filter((resource) => resource.custom && driverFor(resource.type).read);
    await Promise.all(
        readable.map(async (resource) => {
            const context = contexts.for(resource);
            const outputs = await limiter.run(async () => driverFor(resource.type).read?.(resource, context));
            counts[await note(snapshot, display, resource, outputs)]++;
        }),
    );
    return counts;
}

async function note(
    snapshot: Snapshot,
    display: Display,
    resource: ResourceState,
    outputs: ResourceState["outputs"] | undefined,
): Promise<"same" | "update" | "delete"> {
    const subject = subjectOf(resource);
    if (!outputs) {
        display.show({ kind: "drifted", subject, gone: true, changes: [] });
        await snapshot.settle(undefined, resource);
        return "delete";
    }
    if (isDeepStrictEqual(outputs, resource.outputs)) {
        return "same";
    }
    const changes = diffProps(resource.outputs, outputs).filter((change) => change.kind === "update");
    resource.outputs = outputs;
    await snapshot.save();
    if (changes.length === 0) {
        return "same";
    }
    display.show({ kind: "drifted", subject, gone: false, changes });
    return "update";
}
