import { existsSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stackOutputs } from "../../src";
import { docker, TestStack } from "./harness";

let stack: TestStack;
beforeAll(() => {
    stack = new TestStack("small");
});
afterAll(() => stack.remove());

const id = async (name: string) => (await stack.container(name).inspect()).Id;

// One stack goes through its life; each test starts where the one before it ended.
describe("a stack", () => {
    it("is previewed without a trace", async () => {
        const { changes, outputs } = await stack.preview();
        expect(changes).toMatchObject({ create: 7, same: 0 });
        expect(outputs.ref).toBe("[unknown]");
        expect(existsSync(stack.stateDir)).toBe(false);
        expect(await docker.listContainers({ all: true, filters: { name: [stack.prefix] } })).toEqual([]);
    });

    it("comes up, in the order of its dependencies", async () => {
        const { changes, outputs } = await stack.up();
        expect(changes).toEqual({ create: 7, update: 0, replace: 0, delete: 0, keep: 0, same: 0 });
        expect(outputs).toMatchObject({ said: "hello", password: "[secret]" });
        expect(outputs.ref).toMatch(/^docker\.io\/t-eng-\d+\/image:test@sha256:[0-9a-f]{64}$/);
        const finished = stack.events.flatMap((e) => (e.kind === "finished" ? [e.subject.name] : []));
        expect(finished.indexOf("image")).toBeLessThan(finished.indexOf("first"));
        expect(finished.at(-1)).toBe("check");
    });

    it("hands over files before the start, and says secrets nowhere", async () => {
        const { password } = await stackOutputs(stack.location, { showSecrets: true });
        expect(await readInside("first", "/run/secret")).toBe(password);
        for (const text of [readFileSync(stack.statePath, "utf8"), stack.text()]) {
            expect(text).not.toContain(password);
            expect(text).not.toContain("build-secret-value");
        }
    });

    it("is left alone by a second up, and its state file, too", async () => {
        const before = readFileSync(stack.statePath, "utf8");
        const { changes } = await stack.up({ refresh: true });
        expect(changes).toEqual({ create: 0, update: 0, replace: 0, delete: 0, keep: 0, same: 7 });
        expect(readFileSync(stack.statePath, "utf8")).toBe(before);
    });

    it("changes a memory limit in place", async () => {
        const before = await id("first");
        stack.set({ memory: 96 });
        await stack.up();
        expect(stack.steps()).toEqual(["update first"]);
        const { Id, HostConfig } = await stack.container("first").inspect();
        expect([Id, HostConfig.Memory, HostConfig.MemorySwap]).toEqual([before, 96 * 2 ** 20, 192 * 2 ** 20]);
    });

    it("replaces a container whose port changes, and what its id triggers, and nothing else", async () => {
        stack.set({ port: 18191 });
        const { changes } = await stack.preview();
        expect(changes).toMatchObject({ replace: 2, same: 5 });
        const [first, second] = [await id("first"), await id("second")];
        await stack.up();
        expect(stack.steps()).toEqual(["replace check", "replace first"]);
        expect(await id("first")).not.toBe(first);
        expect(await id("second")).toBe(second);
    });

    it("replaces the containers of a network that is replaced, which could not go otherwise", async () => {
        stack.set({ networkLabel: "two" });
        await stack.up();
        expect(stack.steps()).toEqual([
            "replace check",
            "replace first",
            "replace network",
            "replace second",
        ]);
        const [network] = await docker.listNetworks({ filters: { name: [`${stack.prefix}-net`] } });
        expect(network?.Labels).toEqual({ test: "two" });
    });

    it("gives a network the range that the program says, and finds nothing to change afterwards", async () => {
        stack.set({ subnet: "10.251.77.0/28" });
        await stack.up();
        expect(stack.steps()).toContain("replace network");
        const [network] = await docker.listNetworks({ filters: { name: [`${stack.prefix}-net`] } });
        expect(network?.IPAM?.Config).toEqual([{ Subnet: "10.251.77.0/28", Gateway: "10.251.77.1" }]);
        const { changes } = await stack.up({ refresh: true });
        expect(changes).toMatchObject({ create: 0, update: 0, replace: 0, delete: 0, same: 7 });
    });

    it("builds again and follows the new image", async () => {
        stack.set({ greeting: "good evening" });
        const { outputs } = await stack.up();
        expect(outputs.said).toBe("good evening");
        expect(stack.steps()).toEqual(["replace check", "replace first", "replace second", "update image"]);
    });

    it("deletes what the program no longer names", async () => {
        stack.set({ second: false });
        expect((await stack.preview()).changes).toMatchObject({ delete: 1, same: 6 });
        await stack.up();
        expect(stack.steps()).toEqual(["delete second"]);
        await expect(stack.container("second").inspect()).rejects.toThrow("no such container");
    });

    it("makes anew what it is told to, and what depends on that", async () => {
        const password = async () => (await stackOutputs(stack.location, { showSecrets: true })).password;
        const old = await password();
        expect((await stack.preview({ replace: ["password"] })).changes).toMatchObject({ replace: 3 });
        await stack.up({ replace: ["password"] });
        expect(stack.steps()).toEqual(["replace check", "replace first", "replace password"]);
        expect(await password()).not.toBe(old);
        expect(await readInside("first", "/run/secret")).toBe(await password());
        expect((await stack.up()).changes).toMatchObject({ replace: 0, same: 6 });
    });

    it("goes down but for what is to be spared, and comes up with it as it was", async () => {
        const outputs = await stackOutputs(stack.location, { showSecrets: true });
        const { changes } = await stack.destroy({ spare: ["random:index/randomPassword:RandomPassword"] });
        expect(changes).toMatchObject({ delete: 3, keep: 2, same: 1 });
        expect(stack.steps()).toEqual(expect.arrayContaining(["delete first", "keep data", "keep image"]));
        const left = stack.checkpoint().resources.map(({ type }: { type: string }) => type);
        expect(left).toEqual([
            "pulumi:pulumi:Stack",
            "engine-test:index:Pair",
            expect.stringMatching(/^pulumi:providers:random$/),
            "random:index/randomPassword:RandomPassword",
        ]);
        expect(await stackOutputs(stack.location, { showSecrets: true })).toEqual(outputs);
        expect((await stack.up()).changes).toMatchObject({ create: 5, same: 1 });
        expect((await stackOutputs(stack.location, { showSecrets: true })).password).toBe(outputs.password);
    });

    it("goes down, but for what is to be kept", async () => {
        await stack.destroy();
        expect(stack.checkpoint().resources).toBeUndefined();
        expect(await docker.listContainers({ all: true, filters: { name: [stack.prefix] } })).toEqual([]);
        expect(await docker.listNetworks({ filters: { name: [stack.prefix] } })).toEqual([]);
        expect((await docker.getVolume(`${stack.prefix}-data`).inspect()).Name).toBe(`${stack.prefix}-data`);
        expect((await docker.getImage(`docker.io/${stack.prefix}/image:test`).inspect()).Id).toContain(
            "sha256",
        );
    });
});

async function readInside(name: string, path: string): Promise<string> {
    const run = await stack.container(name).exec({ Cmd: ["cat", path], AttachStdout: true });
    const stream = await run.start({});
    const chunks: Buffer[] = [];
    for await (const chunk of stream) {
        chunks.push(chunk as Buffer);
    }
    return Buffer.concat(chunks).subarray(8).toString();
}
