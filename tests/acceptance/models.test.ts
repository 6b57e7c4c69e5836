import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { inContainer } from "../../cli/models/helper";
import { gguf, TestHub } from "../hub";
import { makeVolume, removeAll } from "../image/base-container";
import { readImageJson } from "../image/base-image";
import { computeImage } from "../image/compute-image";
import { describePulls, type PullPlace } from "../models";

const image = computeImage();
const { toolsets } = readImageJson(image);
const hub = { host: "host.docker.internal", address: "0.0.0.0" };

/** A volume of models, and a shell in it as `user`. */
async function place(user = "0:0"): Promise<PullPlace> {
    const volume = await makeVolume();
    const mount = [`--mount=type=volume,source=${volume},target=/models`, "--workdir=/models"];
    const run = ["run", "--rm", ...mount, `--user=${user}`, "--entrypoint=sh", image, "-c"];
    return {
        command: inContainer(image, volume),
        folder: "/models",
        outside: "/models/elsewhere",
        hub,
        shell: async (line) => (await execa("docker", [...run, line])).stdout,
    };
}

describe.runIf(toolsets.includes("llm"))("models.py in a container of the compute image", () => {
    afterAll(removeAll);

    describePulls("in a volume of root's", () => place());

    describe("in a volume of carbon's", () => {
        let carbons: PullPlace;
        let server: TestHub;

        beforeAll(async () => {
            carbons = await place();
            await carbons.shell("chown 1000:1000 .");
            server = await TestHub.start(
                { "me/models": { files: { "a.gguf": { content: gguf(1000) } } } },
                hub,
            );
        });
        afterAll(() => server.stop());

        it("works as carbon", async () => {
            const request = {
                action: "pull",
                folder: "/models",
                endpoint: server.endpoint,
                files: [{ repo: "me/models", file: "a.gguf", name: "a.gguf" }],
            };
            const [command, ...args] = carbons.command;
            // Its end of the pipe stays open until it has ended.
            const child = execa(command, args, { stdin: "pipe" });
            child.stdin.write(`${JSON.stringify(request)}\n`);
            expect((await child).stdout).toContain('"pulled"');
            expect(await carbons.shell("stat -c %u:%g a.gguf .carbon .carbon/a.gguf.json")).toBe(
                "1000:1000\n1000:1000\n1000:1000",
            );
        });
    });

    it("has no right but to become the owner, and writes nowhere else", async () => {
        const { command } = await place();
        const [docker, ...args] = command;
        const shell = args
            .map((arg) => (arg.startsWith("--entrypoint") ? "--entrypoint=sh" : arg))
            .slice(0, -2);
        const { stdout } = await execa(docker, [
            ...shell,
            "-c",
            "grep CapEff /proc/self/status; touch /x 2>&1; env",
        ]);
        // CAP_SETGID and CAP_SETUID, of capabilities(7).
        expect(stdout).toContain("CapEff:\t00000000000000c0");
        expect(stdout).toContain("Read-only file system");
        expect(stdout).not.toMatch(/token|proxy/i);
    });

    it("ends with the command that has started it", async () => {
        const started = await place();
        const server = await TestHub.start(
            { "me/models": { files: { "a.gguf": { content: gguf(8e6) } } } },
            hub,
        );
        server.speed = 1e6;
        const [command, ...args] = started.command;
        const child = execa(command, args, { stdin: "pipe", reject: false });
        const files = [{ repo: "me/models", file: "a.gguf", name: "a.gguf" }];
        const request = { action: "pull", folder: "/models", endpoint: server.endpoint, files };
        child.stdin.write(`${JSON.stringify(request)}\n`);
        await new Promise((resolve) => child.stdout.once("data", resolve));
        child.kill("SIGKILL");
        await child;
        try {
            // Nobody holds the lock any more.
            const free =
                "for i in $(seq 50); do flock --nonblock .carbon/lock true && echo free && break; sleep 0.2; done";
            expect(await started.shell(free)).toBe("free");
        } finally {
            server.stop();
        }
    });
});
