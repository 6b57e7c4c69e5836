import type { Session } from "../session";

/** Something of a stack that is not as it was deployed. */
export interface Difference {
    kind: Kind;
    /** A service, or a thing with its kind: `redis`, `network carbon-dev`. */
    what: string;
    /** The property that differs, in a user's words. */
    property: string;
    expected: string;
    found: string;
    /** What Docker calls the thing that is there. */
    id?: string;
    /** The network, where it is about one. */
    network?: string;
    /** Name of the program's resource. */
    resource?: string;
}

/**
 * What is the matter. Both engines see and mend all but those that the command mends itself: see heal.ts.
 *
 * - `stopped`, `paused`, `unhealthy`, `missing`, `renamed`, `limit`, `left-network`: a container of the stack's.
 * - `processes`, `fixed-limit`, `joined-network`: the same, where no engine looks.
 * - `unknown-container`, `unknown-network`: it carries the stack's label, and the state does not know it.
 * - `foreign-container`, `foreign-network`: it has the stack's name and not its label.
 * - `missing-service`, `service`: a service of a Swarm is gone, or is not as it should be; both engines mend it.
 * - `unknown-service`, `unknown-secret`: one of a Swarm that carries the stack's label, and the state does not know it.
 * - `missing-network`, `missing-volume`, `missing-image`, `moved-image`.
 */
export type Kind =
    | "stopped"
    | "paused"
    | "unhealthy"
    | "missing"
    | "renamed"
    | "limit"
    | "processes"
    | "fixed-limit"
    | "left-network"
    | "joined-network"
    | "unknown-container"
    | "foreign-container"
    | "missing-service"
    | "service"
    | "unknown-service"
    | "unknown-secret"
    | "missing-network"
    | "unknown-network"
    | "foreign-network"
    | "missing-volume"
    | "missing-image"
    | "moved-image";

/** What the loss of a volume means. @param what As {@link Difference} has it: `volume carbon-dev-redis`. */
export function describeLoss(what: string, session: Session): string {
    const part = what.split("-").at(-1);
    return (
        `The ${what} is gone with its data: \`up\` makes an empty one. ` +
        `\`./carbon restore FILE --only ${part}${session.stackFlag()}\` then brings back what a backup has.`
    );
}

/** Those of some kinds. */
export function ofKind(differences: readonly Difference[], ...kinds: Kind[]): Difference[] {
    return differences.filter(({ kind }) => kinds.includes(kind));
}
