import { expect, it } from "vitest";
import { removeLeftovers } from "../../src/deployment";
import type { OpenStack } from "../../src/open-stack";
import { Snapshot } from "../../src/snapshot";
import type { PendingOperation, ResourceState } from "../../src/state";

const TYPE = "docker:index/container:Container";

/** Which containers are removed of those with these names, all of which Docker has. */
async function removed(interrupted: string[], living: string[]): Promise<string[]> {
    const gone: string[] = [];
    const resource = (name: string) =>
        ({
            urn: `urn:pulumi:dev::demo::${TYPE}::${name}`,
            type: TYPE,
            custom: true,
            inputs: { name },
        }) as unknown as ResourceState;
    const operations = interrupted.map(
        (name): PendingOperation => ({ type: "creating", resource: resource(name) }),
    );
    const getContainer = (id: string) => ({
        inspect: async () => ({ Id: id }),
        remove: async () => void gone.push(id),
    });
    const contexts = { for: () => ({ docker: () => ({ getContainer }), message: () => {} }) };
    const snapshot = new Snapshot(living.map(resource), operations, undefined);
    const state = Promise.resolve({ snapshot, interrupted: operations });
    await removeLeftovers({ contexts, state } as unknown as OpenStack);
    return gone;
}

it("removes the container that an interrupted run began, whether the program still wants it or not", async () => {
    expect(await removed(["half"], ["whole"])).toEqual(["half"]);
});

it("keeps the container of that name that is in the state", async () => {
    expect(await removed(["same"], ["same"])).toEqual([]);
});
