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
