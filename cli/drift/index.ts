import { everyVolume } from "../../catalogue";
import { volumeName } from "../../catalogue/names";
import type { DeploymentEngine } from "../engines/types";
import type { Session } from "../session";
import { compare } from "./compare";
import type { Difference } from "./difference";
import { expectedOf } from "./expected";
import { look } from "./found";

/** What the command itself finds of a stack, which no engine sees whole. */
export interface Drift {
    differences: Difference[];
    /** False where the state knows nothing of the stack: it was lost, or never was. */
    isKnown: boolean;
    /** Ids of the containers that the state has. */
    containers: string[];
    /** Those of the stack's volumes that Docker has, by their names. */
    volumes: string[];
}

/**
 * Compares what Docker has with what the stack's state says. It looks and changes nothing, as the Docker provider's look
 * does: that one deletes what is stopped.
 */
export async function findDrift(session: Session, engine: DeploymentEngine): Promise<Drift> {
    const expected = expectedOf(await engine.resources(session.request()));
    const found = await look(session.stack, expected);
    return {
        differences: compare(session.stack, expected, found),
        isKnown: expected.isKnown,
        containers: expected.containers.map(({ id }) => id),
        volumes: everyVolume
            .map(({ name }) => volumeName(session.stack, name))
            .filter((name) => found.volumes.includes(name)),
    };
}
