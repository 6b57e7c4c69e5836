import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { docker, failure, TestStack } from "./harness";
import { Registry } from "./registry";

const registry = new Registry();
let stack: TestStack;
let image: string;
beforeAll(async () => {
    await registry.start("docker.io/library/debian:trixie-slim");
    stack = new TestStack("pull");
    image = `${registry.address}/${stack.prefix}/debian:one`;
});
afterAll(async () => {
    await stack.remove();
    await registry.stop();
});

describe("an image that is pulled as a resource of its own", () => {
    const separately = { separately: true };
    const resource = () =>
        stack.checkpoint().resources.find(({ type }: { type: string }) => type.endsWith(":RemoteImage"));

    it("is pulled once, and says what the provider says of it", async () => {
        stack.set({ image, ...separately });
        await stack.up();
        expect(stack.steps()).toContain("create image");
        const { Id, RepoDigests } = await docker.getImage(image).inspect();
        expect(resource()).toMatchObject({
            id: `${Id}${image}`,
            outputs: { imageId: Id, repoDigest: RepoDigests[0], name: image, keepLocally: true },
        });
        await stack.up({ refresh: true });
        expect(stack.steps()).toEqual([]);
    });

    it("is pulled again where it is gone, and the container stays", async () => {
        const { Id } = await stack.container("pulled").inspect();
        await docker.getImage(image).remove({ force: true });
        await stack.up({ refresh: true });
        expect(stack.steps()).toEqual(["create image"]);
        expect((await stack.container("pulled").inspect()).Id).toBe(Id);
    });

    it("makes the container anew where it is another one, and stays when it is replaced", async () => {
        const other = `${registry.address}/${stack.prefix}/debian:two`;
        stack.set({ image: other, ...separately });
        await stack.up();
        expect(stack.steps()).toEqual(["replace image", "replace pulled"]);
        expect((await docker.getImage(image).inspect()).RepoTags).toContain(image);
        await stack.destroy();
        expect((await docker.getImage(other).inspect()).RepoTags).toContain(other);
        await docker.getImage(image).remove({ force: true });
    });

    it("is named when the registry does not have it, with the registry's words", async () => {
        const missing = `${image}@sha256:${"0".repeat(64)}`;
        stack.set({ image: missing, ...separately });
        await failure(stack.up());
        expect(stack.text()).toContain(`The image ${missing} is not here and cannot be pulled: `);
        expect(stack.text()).toMatch(/not found/);
        stack.set({ separately: false });
    });
});

describe("a container's image that is not here", () => {
    it("is pulled, once", async () => {
        stack.set({ image });
        await stack.up();
        expect(stack.text()).toContain(`pulling ${image}`);
        expect((await stack.container("pulled").inspect()).Config.Image).toBe(image);
        await stack.container("pulled").remove({ force: true });
        await stack.up({ refresh: true });
        expect(stack.text()).not.toContain("pulling");
    });

    it("stays when the stack goes down", async () => {
        await stack.destroy();
        expect((await docker.getImage(image).inspect()).RepoTags).toContain(image);
    });

    it("is named when the registry does not have it, with the registry's words", async () => {
        const missing = `${image}@sha256:${"0".repeat(64)}`;
        stack.set({ image: missing });
        await failure(stack.up());
        expect(stack.text()).toContain(`its image ${missing} is not here and cannot be pulled: `);
        expect(stack.text()).toMatch(/not found/);
    });
});
