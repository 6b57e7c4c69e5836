import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TestStack } from "./harness";

let stack: TestStack;
beforeAll(() => {
    stack = new TestStack("cache");
});
afterAll(() => stack.remove());

// One stack goes through its life; each test starts where the one before it ended.
describe("a build into the cache alone", () => {
    it("is previewed with the outputs that repeat an input known, and the others not", async () => {
        const { outputs } = await stack.preview();
        expect(outputs).toEqual({ digest: "[unknown]", ref: "[unknown]", target: "heavy" });
    });

    it("builds up to its target, and has no image to show", async () => {
        const { changes, outputs } = await stack.up();
        expect(changes).toMatchObject({ create: 1 });
        expect(outputs).toEqual({ digest: "", ref: "", target: "heavy" });
        const [image] = stack.checkpoint().resources.filter(({ id }: { id?: string }) => id === "heavy");
        expect(image.inputs.exports).toEqual([{ cacheonly: {}, disabled: false, raw: "" }]);
        expect(image.outputs.contextHash).toMatch(/^[0-9a-f]{64}$/);
    });

    it("is not missed by a refresh", async () => {
        const { changes } = await stack.up({ refresh: true });
        expect(changes).toEqual({ create: 0, update: 0, replace: 0, delete: 0, keep: 0, same: 1 });
    });

    it("is done again when its arguments change, and is gone from the state in the end", async () => {
        stack.set({ step: "two" });
        await stack.up();
        expect(stack.steps()).toEqual(["update heavy"]);
        await stack.destroy();
        expect(stack.checkpoint().resources).toBeUndefined();
    });
});
