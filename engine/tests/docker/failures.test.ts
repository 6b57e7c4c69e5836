import { writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { docker, failure, TestStack } from "./harness";

const ROOT_IMAGE = "docker.io/library/debian:trixie-slim";
let stack: TestStack;
beforeAll(() => {
    stack = new TestStack("small");
});
afterAll(() => stack.remove());

/** What the user was told of failures. */
const told = () =>
    stack.events.flatMap((event) => (event.kind === "failed" ? [event.message] : [])).join("\n");

/** Makes a container that is not the stack's. */
async function stranger(name: string, ports: Record<string, { HostPort: string; HostIp: string }[]> = {}) {
    return docker.createContainer({
        name: `${stack.prefix}-${name}`,
        Image: ROOT_IMAGE,
        Cmd: ["sleep", "infinity"],
        HostConfig: { PortBindings: ports, Init: true },
        ExposedPorts: Object.fromEntries(Object.keys(ports).map((port) => [port, {}])),
    });
}

describe("a program is refused", () => {
    it.each([
        ["type", "The embedded engine does not support the resource type docker:index/tag:Tag"],
        ["error", "The program itself says no."],
    ])("for its %s, in one sentence", async (extra, message) => {
        stack.set({ extra });
        const error = await failure(stack.preview());
        const told = `${error.message} ${stack.text()}`;
        expect(told).toContain(message);
        expect(told).not.toContain("    at ");
        stack.set({ extra: "" });
    });
});

// One stack meets one misfortune after the other; each test starts where the one before it ended.
describe("after", () => {
    it("a failing build, its last lines are told once, and what depends on it is not touched", async () => {
        stack.set({ context: "bad" });
        const error = await failure(stack.up());
        expect(error.message).toContain("image could not be created");
        expect(told()).toContain("exit code: 3");
        expect(stack.text().match(/about to fail(?!\\*" &&)/g)).toHaveLength(1);
        expect(await docker.listContainers({ all: true, filters: { name: [stack.prefix] } })).toEqual([]);
        const types = stack.checkpoint().resources.map((resource: { type: string }) => resource.type);
        expect(types).toContain("docker:index/network:Network");
        expect(types).not.toContain("docker-build:index:Image");
    });

    it("a taken port, the port and its holder are named, and the next run goes on", async () => {
        stack.set({ context: "ctx" });
        const holder = await stranger("holder", { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "18190" }] });
        await holder.start();
        await failure(stack.up());
        expect(told()).toContain(`port 18190 is taken; the container ${stack.prefix}-holder holds it`);
        await holder.remove({ force: true });
        await stack.up();
        expect(stack.steps()).toEqual(["create check", "replace first"]);
    });

    it("an interruption, the next run goes on", async () => {
        const stop = new AbortController();
        stack.set({ port: 18192 });
        const run = stack.up({
            signal: stop.signal,
            display: {
                show: (event) => event.kind === "started" && event.subject.name === "first" && stop.abort(),
            },
        });
        expect((await failure(run)).message).toBe("Interrupted; run the same command again to continue.");
        await stack.up();
        expect((await stack.container("first").inspect()).State.Health?.Status).toBe("healthy");
        const { same } = (await stack.up()).changes;
        expect(same).toBe(7);
    });

    it("a crash while a container was made, the leftover is replaced", async () => {
        const checkpoint = JSON.parse(
            JSON.stringify({ version: 3, checkpoint: { latest: stack.checkpoint() } }),
        );
        const { latest } = checkpoint.checkpoint;
        const index = latest.resources.findIndex((r: { urn: string }) => r.urn.endsWith("::second"));
        const [{ id, outputs, ...resource }] = latest.resources.splice(index, 1);
        latest.pending_operations = [{ resource, type: "creating" }];
        writeFileSync(stack.statePath, JSON.stringify(checkpoint));
        await stack.up();
        expect(stack.steps()).toEqual(["create second"]);
        expect(stack.checkpoint().pending_operations).toBeUndefined();
        expect((await stack.container("second").inspect()).Id).not.toBe(id);
        expect(outputs.name).toBe(`${stack.prefix}-second`);
    });

    it("a container of a stranger in the way, it is named and left alone", async () => {
        await stack.container("second").remove({ force: true });
        const foreign = await stranger("second");
        await failure(stack.up({ refresh: true }));
        expect(told()).toContain(`docker rm -f ${stack.prefix}-second`);
        expect((await foreign.inspect()).Id).toBe(foreign.id);
        await foreign.remove({ force: true });
    });

    it("a container that does not become healthy, why is told", async () => {
        stack.set({ healthy: false });
        await failure(stack.up({ refresh: true }));
        expect(told()).toContain("first did not become healthy within 3 seconds");
        stack.set({ healthy: true });
    });
});

describe("a refresh finds", () => {
    it("a paused container and one that is gone", async () => {
        await stack.up();
        await stack.container("first").pause();
        await stack.container("second").remove({ force: true });
        await stack.up({ refresh: true });
        expect(stack.steps()).toEqual(["create second", "update first"]);
        expect((await stack.container("first").inspect()).State.Paused).toBe(false);
    });

    it("a container off its network and a changed restart policy", async () => {
        const network = docker.getNetwork(`${stack.prefix}-net`);
        await network.disconnect({ Container: `${stack.prefix}-first` });
        await stack.container("second").update({ RestartPolicy: { Name: "always" } });
        await stack.up({ refresh: true });
        expect(stack.steps()).toEqual(["replace check", "replace first", "update second"]);
        expect((await stack.container("second").inspect()).HostConfig.RestartPolicy?.Name).toBe("no");
    });

    it("a stopped container and an image that is gone", async () => {
        await stack.container("second").stop({ t: 0 });
        await docker.getImage(`docker.io/${stack.prefix}/image:test`).remove({ force: true });
        await stack.up({ refresh: true });
        expect(stack.steps()).toEqual(["create image", "update second"]);
        expect((await stack.container("second").inspect()).State.Running).toBe(true);
    });

    it("nothing when nothing differs", async () => {
        const { changes } = await stack.refresh();
        expect(changes).toMatchObject({ update: 0, delete: 0 });
    });
});
