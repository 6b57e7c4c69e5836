import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { docker, TestStack } from "./harness";

let stack: TestStack;
beforeAll(() => {
    stack = new TestStack("confined");
});
afterAll(() => stack.remove());

const inspect = () => stack.container("container").inspect();

// One container goes through its life; each test starts where the one before it ended.
describe("a confined container", () => {
    it("has the capabilities, the security options, the logs and the limits that the program says", async () => {
        await stack.up();
        const { HostConfig } = await inspect();
        expect(HostConfig).toMatchObject({
            CapAdd: ["CAP_CHOWN", "CAP_KILL"],
            CapDrop: ["ALL"],
            SecurityOpt: ["no-new-privileges:true"],
            LogConfig: { Type: "json-file", Config: { "max-size": "10m", "max-file": "3" } },
            PidsLimit: 77,
        });
        const { Labels } = await docker.getVolume(`${stack.prefix}-data`).inspect();
        expect(Labels).toEqual({ test: "yes" });
    });

    it("really has them: two capabilities of the forty, none to be gained", async () => {
        const exec = await stack.container("container").exec({
            Cmd: ["grep", "-E", "^(CapBnd|CapEff|NoNewPrivs)", "/proc/self/status"],
            AttachStdout: true,
            Tty: true,
        });
        const said = await (await exec.start({ Tty: true })).toArray();
        // Bit 0 is CAP_CHOWN, bit 5 is CAP_KILL.
        expect(Buffer.concat(said).toString().replace(/\s+/g, " ")).toBe(
            "CapEff: 0000000000000021 CapBnd: 0000000000000021 NoNewPrivs: 1 ",
        );
    });

    it("is left alone by a second up", async () => {
        await stack.up({ refresh: true });
        expect(stack.steps()).toEqual([]);
    });

    it("keeps its limit of processes when its memory changes in place", async () => {
        const before = (await inspect()).Id;
        stack.set({ memory: 96 });
        await stack.up({ refresh: true });
        expect(stack.steps()).toEqual(["update container"]);
        const { Id, HostConfig } = await inspect();
        expect([Id, HostConfig.Memory, HostConfig.PidsLimit]).toEqual([before, 96 * 2 ** 20, 77]);
    });

    it("is replaced when its logs' bounds change, and gets its limit of processes again", async () => {
        const before = (await inspect()).Id;
        stack.set({ logSize: "5m" });
        await stack.up({ refresh: true });
        expect(stack.steps()).toEqual(["replace container", "replace processes"]);
        const { Id, HostConfig } = await inspect();
        expect(Id).not.toBe(before);
        expect(HostConfig.LogConfig?.Config).toEqual({ "max-size": "5m", "max-file": "3" });
        expect(HostConfig.PidsLimit).toBe(77);
        await stack.destroy();
    });
});
