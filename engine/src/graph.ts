import type { ResourceState } from "./state";
import { providerUrn } from "./urn";

/** Everything that must exist as long as the resource does. */
function needs(resource: ResourceState): Set<string> {
    const provider = resource.provider ? [providerUrn(resource.provider)] : [];
    const parent = resource.parent ? [resource.parent] : [];
    const byProperty = Object.values(resource.propertyDependencies).flat();
    return new Set([...resource.dependencies, ...byProperty, ...provider, ...parent]);
}

/** The resources that need `urn`, directly or through others; in `resources` dependencies come first. */
export function dependentsOf(urn: string, resources: readonly ResourceState[]): ResourceState[] {
    const reached = new Set([urn]);
    const found: ResourceState[] = [];
    for (const resource of resources) {
        if (resource.urn !== urn && [...needs(resource)].some((needed) => reached.has(needed))) {
            reached.add(resource.urn);
            found.push(resource);
        }
    }
    return found;
}

/** Runs `remove` for each resource once everything that needs it is gone; independent ones side by side. */
export async function inDeletionOrder(
    doomed: readonly ResourceState[],
    remove: (resource: ResourceState) => Promise<void>,
): Promise<void> {
    const done = new Map<ResourceState, Promise<void>>();
    // The last in a checkpoint depends on the earlier ones, never the other way round.
    for (const [index, resource] of [...doomed.entries()].reverse()) {
        const users = doomed.slice(index + 1).filter((other) => needs(other).has(resource.urn));
        const gone = Promise.all(users.map((user) => done.get(user)));
        done.set(
            resource,
            gone.then(() => remove(resource)),
        );
    }
    await Promise.allSettled(done.values());
    await Promise.all(done.values());
}
