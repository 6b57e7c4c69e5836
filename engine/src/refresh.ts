import { isDeepStrictEqual } from "node:util";
import { subjectOf } from "./contexts";
import { diffProps } from "./diff";
import { driverFor } from "./drivers";
import { type Counts, noCounts } from "./events";
import type { OpenStack } from "./open-stack";
import type { ResourceState } from "./state";

/**
 * Looks at every real thing and notes in the snapshot what it finds: outputs as they are now, and nothing for what
 * is gone. @returns how many differed (`update`) or were gone (`delete`).
 */
export async function refreshSnapshot({ contexts, display, state }: OpenStack): Promise<Counts> {
    const { snapshot } = await state;
    const counts = noCounts();
    const look = async (resource: ResourceState) => {
        const outputs = await driverFor(resource.type).read?.(resource, contexts.for(resource));
        const changes = diffProps(resource.outputs, outputs ?? {}).filter(({ kind }) => kind === "update");
        if (!outputs) {
            await snapshot.settle(undefined, resource);
        } else if (!isDeepStrictEqual(outputs, resource.outputs)) {
            resource.outputs = outputs;
            await snapshot.save();
        }
        const found = !outputs ? "delete" : changes.length > 0 ? "update" : "same";
        counts[found]++;
        if (found !== "same") {
            display.show({ kind: "drifted", subject: subjectOf(resource), gone: !outputs, changes });
        }
    };
    const readable = snapshot.resources().filter(({ custom, type }) => custom && driverFor(type).read);
    await Promise.all(readable.map(look));
    return counts;
}
