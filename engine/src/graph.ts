import type { ResourceState } from "./state";
import { providerUrn } from "./urn";

/** Everything that must exist as long as the resource does. */
function needs(resource: ResourceState): Set<string> {
    const provider = resource.provider ? [providerUrn(resource.provider)] : [];
    const parent = resource.parent ? [resource.parent] : [];
    const byProperty = Object.values(resource.propertyDependencies).flat();
    return new Set([...resource.dependencies, ...byProperty, ...provider, ...parent]);
}

/** Those resources that the predicate chooses, and everything that they need, by URN. */
export function withNeeds(
    resources: readonly ResourceState[],
    isChosen: (resource: ResourceState) => boolean,
): Set<string> {
    const chosen = new Set(resources.filter(isChosen).map(({ urn }) => urn));
    // What a resource needs comes before it in a checkpoint.
    for (const resource of [...resources].reverse()) {
        for (const urn of chosen.has(resource.urn) ? needs(resource) : []) {
            chosen.add(urn);
        }
    }
    return chosen;
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
