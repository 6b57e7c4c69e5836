import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { execaSync } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Stack } from "./stack";

// What comes in between a deployment: another one, Ctrl-C, Docker's end. The Pulumi CLI takes part where it is there with
// its providers; elsewhere tests/unit/cli/pulumi.test.ts has its half with a stand-in.
const hasPulumi = execaSync("sh", ["-c", "command -v pulumi"], { reject: false }).exitCode === 0;
const locks = path.resolve(__dirname, "../../.carbon/state/.pulumi/locks/organization/carbon");

/** Docker's socket by a detour that can be cut, so that nobody else on the machine loses Docker. */
class Detour {
    readonly socket = path.join(tmpdir(), `t-st-docker-${process.pid}.sock`);
    readonly env = { DOCKER_HOST: `unix://${this.socket}` };
    private readonly open = new Set<Socket>();
    private server?: Server;

    async connect(): Promise<void> {
        this.server = createServer({ allowHalfOpen: true }, (near) => {
            // `docker exec` closes its half first and still waits for the answer.
            const far = connect({ path: "/var/run/docker.sock", allowHalfOpen: true });
            for (const [one, other] of [
                [near, far],
                [far, near],
            ] as const) {
                this.open.add(one);
                one.pipe(other);
                one.on("error", () => other.destroy());
                one.on("close", () => this.open.delete(one));
            }
        });
        await new Promise<void>((resolve) => this.server?.listen(this.socket, resolve));
    }

    cut(): void {
        this.server?.close();
        for (const socket of this.open) {
            socket.destroy();
        }
        rmSync(this.socket, { force: true });
    }
}

const engines = [
    { engine: "embedded", portOffset: 18000, why: "" },
    { engine: "pulumi", portOffset: 18100, why: hasPulumi ? "" : ": there is none on PATH here" },
];
for (const { engine, portOffset, why } of engines) {
    describe.skipIf(why)(`a deployment with ${engine}${why}`, () => {
        let stack: Stack;
        const detour = new Detour();
        const up = (options: Parameters<Stack["carbon"]>[1] = {}) =>
            stack.carbon(["up", "--engine", engine], { env: detour.env, ...options });
        const held = () =>
            readdirSync(path.join(locks, stack.name)).filter((file) => file.endsWith(".json")).length > 0;
        /** Changes a variable of every container, so that the next `up` makes both anew. */
        const change = (timezone: string) => stack.configure({ timezone });
        const stopWhen = /redis-container/;
        const isWhole = async () => {
            const { exitCode, said } = await up();
            expect(exitCode, said).toBe(0);
            expect(await stack.containers()).toEqual([
                stack.container("redis"),
                stack.container("workspace"),
            ]);
            expect(held()).toBe(false);
            JSON.parse(readFileSync(`${stack.checkpoint}.bak`, "utf8"));
        };

        beforeAll(async () => {
            stack = new Stack(`t-st-${engine}`, {
                portOffset,
                compute: false,
                toolsets: ["databases"],
                services: ["redis"],
                appPorts: [],
            });
            await detour.connect();
        });
        afterAll(async () => {
            await stack.remove();
            detour.cut();
            rmSync(path.join(locks, stack.name), { recursive: true, force: true });
        });

        it("keeps a second up and a down out, which say who holds the stack", async () => {
            const first = up();
            await expect
                .poll(() => existsSync(path.join(locks, stack.name)) && held(), {
                    timeout: 300_000,
                    interval: 50,
                })
                .toBe(true);
            for (const { exitCode, json } of await Promise.all([
                stack.carbon(["up", "--engine", engine]),
                stack.carbon(["down", "--engine", engine]),
            ])) {
                expect(exitCode).toBe(1);
                expect(json.error).toMatch(
                    /^Stack '.*' is locked by .*@.* \(pid \d+\) since .*kill -INT \d+$/,
                );
            }
            const { exitCode, said } = await first;
            expect(exitCode, said).toBe(0);
            expect(await stack.containers()).toHaveLength(2);
        });

        it("ends at Ctrl-C with its state saved, and the next one completes it", async () => {
            change("Etc/GMT+1");
            const { exitCode, said } = await up({ stopWhen });
            expect(exitCode, said).toBe(130);
            expect(held()).toBe(false);
            JSON.parse(readFileSync(stack.checkpoint, "utf8"));
        });

        it("ends at once at the second Ctrl-C, and the next one completes it", async () => {
            change("Etc/GMT+2");
            const { exitCode, said } = await up({ stopWhen, times: 2 });
            expect(exitCode, said).toBe(130);
            JSON.parse(readFileSync(stack.checkpoint, "utf8"));
            await isWhole();
        });

        it("says that Docker went away, and what to type, and the next one completes it", async () => {
            change("Etc/GMT+3");
            const { exitCode, json, said } = await up({
                stopWhen,
                times: 0,
                atMatch: () => detour.cut(),
            });
            expect(exitCode, said).toBe(1);
            expect(json.error).toMatch(
                /^Docker went away in the middle \(.*\)\. .*type: \.\/carbon up --stack t-st-/,
            );
            JSON.parse(readFileSync(stack.checkpoint, "utf8"));
            await detour.connect();
            await isWhole();
        });
    });
}
