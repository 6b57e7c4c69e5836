// A stack on a server: a second engine with an sshd of its own, in a network namespace of this machine.
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { loginUrl } from "../../cli/login";
import { launchBrowser } from "../browser/desktop-clients";
import { type Result, Stack } from "../e2e/stack";
import { baseImage } from "../image/base-image";
import { SecondServer } from "../second-server";

const name = "t-remote";
const offset = 24000;
/** A program of the user's own in the workspace. */
const app = 8000;
/** In the home folder of root, who is the user on the server: its files are this machine's. */
const there = "/root/carbon-t-remote";
/** With JupyterLab, where one is given. */
const fullImage = process.env.CARBON_TEST_COMPUTE_IMAGE;

/** As {@link Stack}, of a user whose ssh knows the server. */
class RemoteStack extends Stack {
    constructor(
        private readonly server: SecondServer,
        config: Record<string, unknown>,
    ) {
        super(name, { dockerContext: server.address, ...config });
    }

    override carbon(command: string[], options: Parameters<Stack["carbon"]>[1] = {}): Promise<Result> {
        return super.carbon(command, { ...options, env: { ...this.server.env, ...options.env } });
    }

    /** Fails with what was said where the command does. */
    async must(...command: string[]): Promise<Result> {
        const result = await this.carbon(command);
        expect(result.exitCode, `carbon ${command.join(" ")}:\n${result.said}`).toBe(0);
        return result;
    }

    /** A command that goes on; its standard output and error in one. */
    start(...command: string[]): { child: ChildProcess; said: () => string } {
        const child = spawn("node", ["cli/carbon.js", ...command, "--stack", name], {
            env: { ...process.env, ...this.server.env },
        });
        let said = "";
        for (const stream of [child.stdout, child.stderr]) {
            stream?.on("data", (chunk: Buffer) => {
                said += chunk.toString();
            });
        }
        return { child, said: () => said };
    }
}

let server: SecondServer;
let stack: RemoteStack;
let here: string;
let browser: Browser | undefined;

beforeAll(async () => {
    const images = { base: baseImage(), ...(fullImage && { compute: fullImage }) };
    // What the server's own build would take minutes for, it has.
    server = await SecondServer.start(41, { images: true });
    here = join(server.folder, "here");
    rmSync(there, { recursive: true, force: true });
    stack = new RemoteStack(server, {
        heldImages: images,
        // As the images have them.
        ...(fullImage ? {} : { toolsets: ["databases"] }),
        compute: fullImage !== undefined,
        services: ["redis"],
        appPorts: [app],
        portOffset: offset,
        workspaceDir: "carbon-t-remote",
        syncDir: here,
    });
});

afterAll(async () => {
    await browser?.close();
    await stack?.carbon(["tunnel", "--stop"]);
    await stack?.remove();
    await server?.remove();
    rmSync(there, { recursive: true, force: true });
    for (const file of readdirSync(".carbon").filter((one) => /^(sync|tunnel)-t-remote\./.test(one))) {
        rmSync(join(".carbon", file));
    }
});

const shell = (line: string) =>
    server.engine.docker("exec", "--user", "carbon", `carbon-${name}-workspace`, "sh", "-c", line);

describe("a stack on a server", () => {
    it("goes on where the connection broke off in the middle of `up`", async () => {
        const { exitCode, said } = await stack.carbon(["up"], {
            stopWhen: /redis-container/,
            times: 0,
            atMatch: () => void server.cut(),
        });
        expect(exitCode).toBe(1);
        expect(said).toMatch(/The connection to root@198\.18\.41\.2 broke off in the middle\./);
        expect(said).toContain("type: ./carbon up --stack t-remote. It goes on where this one stopped.");
        await server.boot();
        const { json } = await stack.must("up");
        const found = Object.fromEntries(
            json.verification.checks.map(({ id, status }: Record<string, string>) => [id, status]),
        );
        expect(found).toMatchObject({ ssh: "PASS", redis: "PASS", "port-ssh": "SKIP" });
    });

    it("lives there, with a folder there, and its state is here", async () => {
        expect((await server.engine.docker("ps", "--format", "{{.Names}}")).split("\n").sort()).toEqual([
            `carbon-${name}-redis`,
            `carbon-${name}-workspace`,
        ]);
        expect(await stack.containers()).toEqual([]);
        expect(existsSync(stack.checkpoint)).toBe(true);
        const { mode, uid } = statSync(there);
        expect([mode & 0o777, uid]).toEqual([0o700, 1000]);
    });

    it("is looked at from here", async () => {
        expect((await stack.must("drift")).json.clean).toBe(true);
        const { stdout } = await execa("node", ["cli/carbon.js", "logs", "redis", "--stack", name], {
            env: server.env,
        });
        expect(stdout).toContain("Ready to accept connections");
        // By the name of a Docker context as well.
        const host = `host=${server.address}`;
        await execa("docker", ["context", "create", "far", "--docker", host], { env: server.env });
        stack.configure({ dockerContext: "far" });
        expect((await stack.must("status")).json.healthy).toBe(true);
        stack.configure({ dockerContext: server.address });
    });
});

describe("carbon tunnel", () => {
    it("names a port that is taken here", async () => {
        const taken = createServer().listen(app + offset, "127.0.0.1");
        try {
            const { exitCode, said } = await stack.carbon(["tunnel", "--background"]);
            expect(exitCode).toBe(1);
            expect(said).toContain(`The port ${app + offset} of this machine is taken by another program.`);
        } finally {
            taken.close();
        }
    });

    it("brings a page of the stack's into a browser of this machine, as `open` does", async () => {
        await shell(
            `echo '<title>far</title>' > ~/index.html; cd && nohup python3 -m http.server ${app} > /dev/null 2>&1 &`,
        );
        const { json } = await stack.must("open", "ssh");
        expect(json.url).toBe(`ssh://carbon@127.0.0.1:${2222 + offset}`);
        expect((await stack.must("tunnel", "--status")).json).toMatchObject({ open: true });
        browser = await launchBrowser();
        const page = await browser.newPage();
        // Chromium drops what it is loading when this machine's networks change.
        await vi.waitFor(
            async () => {
                await page.goto(`http://127.0.0.1:${app + offset}/`);
                expect(await page.title()).toBe("far");
            },
            { timeout: 60_000, interval: 1_000 },
        );
        const { json: checked } = await stack.must(
            "verify",
            "--target",
            "host",
            "--only",
            "port-ssh,port-redis",
        );
        expect(checked.summary).toMatchObject({ pass: 2, fail: 0 });
        expect((await stack.must("tunnel", "--stop")).json.closed).toBe(true);
        expect((await stack.carbon(["tunnel", "--status"])).exitCode).toBe(1);
    });

    it.runIf(fullImage)("brings JupyterLab into a browser of this machine, logged in", async () => {
        await stack.must("tunnel", "--background");
        const { json: credentials } = await stack.must("credentials");
        const urls = { jupyter: `http://127.0.0.1:${8888 + offset}/lab` };
        const page = await (browser as Browser).newPage();
        await vi.waitFor(
            async () => {
                await page.goto(loginUrl("jupyter", urls, credentials) ?? "");
                await page.locator(".jp-Launcher").waitFor({ timeout: 20_000 });
            },
            { timeout: 90_000, interval: 1_000 },
        );
        await stack.must("tunnel", "--stop");
    });

    it("comes back by itself after the connection broke off, and closes at Ctrl-C", async () => {
        const { child, said } = stack.start("tunnel");
        await vi.waitFor(() => expect(said()).toContain("Ctrl-C closes it"), { timeout: 60_000 });
        await server.cut();
        await vi.waitFor(() => expect(said()).toContain("The tunnel broke off."), { timeout: 60_000 });
        await server.boot();
        await vi.waitFor(() => expect(said()).toContain("open again"), { timeout: 60_000 });
        const ended = new Promise((resolve) => child.once("exit", resolve));
        child.kill("SIGINT");
        expect(await ended).toBe(0);
        expect((await stack.carbon(["tunnel", "--status"])).exitCode).toBe(1);
    });
});

describe("carbon sync", () => {
    const local = (file: string) => join(here, file);
    const remote = (file: string) => join(there, file);

    it("brings both sides what the other has, whatever it is called", async () => {
        mkdirSync(here);
        writeFileSync(local("$(touch pwned) `id`;\n.txt"), "mine");
        writeFileSync(local("--delete"), "an option");
        await shell(
            "mkdir -p /workspace/deep; echo theirs > /workspace/deep/a; chmod 4755 /workspace/deep/a",
        );
        const { json: planned } = await stack.must("sync", "--dry-run");
        expect(existsSync(local("deep"))).toBe(false);
        const { json } = await stack.must("sync");
        expect(json.push).toEqual(["$(touch pwned) `id`;\n.txt", "--delete"]);
        expect({ ...planned, dryRun: false }).toEqual(json);
        expect(readFileSync(remote("$(touch pwned) `id`;\n.txt"), "utf8")).toBe("mine");
        expect(statSync(remote("--delete")).uid).toBe(1000);
        expect(readFileSync(local("deep/a"), "utf8")).toBe("theirs\n");
        expect(statSync(local("deep/a")).mode & 0o7777).toBe(0o755);
        expect(statSync(there).mode & 0o777).toBe(0o700);
    });

    it("overwrites nothing that both have changed, and names it", async () => {
        writeFileSync(local("deep/a"), "my own\n");
        await shell("echo 'their own' > /workspace/deep/a");
        const { exitCode, json } = await stack.carbon(["sync"]);
        expect([exitCode, json.conflicts]).toEqual([1, ["deep/a"]]);
        expect(readFileSync(local("deep/a"), "utf8")).toBe("my own\n");
        expect(readFileSync(remote("deep/a"), "utf8")).toBe("their own\n");
        rmSync(local("deep/a"));
        expect((await stack.must("sync")).json.pull).toEqual(["deep/a"]);
        expect(readFileSync(local("deep/a"), "utf8")).toBe("their own\n");
    });

    it("deletes with --delete alone, and never all there is", async () => {
        rmSync(local("--delete"));
        expect((await stack.must("sync")).json.goneHere).toEqual(["--delete"]);
        expect(existsSync(remote("--delete"))).toBe(true);
        expect((await stack.must("sync", "--delete")).json.removedThere).toEqual(["--delete"]);
        expect(existsSync(remote("--delete"))).toBe(false);
        rmSync(here, { recursive: true });
        await stack.must("sync", "--dry-run");
        expect(existsSync(here)).toBe(false);
        mkdirSync(here);
        writeFileSync(local(".DS_Store"), "");
        const { exitCode, said } = await stack.carbon(["sync", "--delete"]);
        const refusal = "has nothing any more of what the last sync left, and --delete";
        expect([exitCode, said]).toEqual([1, expect.stringContaining(refusal)]);
        expect(existsSync(remote("deep/a"))).toBe(true);
        expect((await stack.must("sync")).json.pull).toContain("deep/a");
        expect(readFileSync(local("deep/a"), "utf8")).toBe("their own\n");
    });

    it("goes on where the connection broke off in the middle", async () => {
        const bytes = randomBytes(300_000_000);
        writeFileSync(local("large"), bytes);
        const run = stack.carbon(["sync"]);
        // rsync's own name for what it has not got whole.
        while (!readdirSync(there).some((file) => file.startsWith(".large."))) {
            await sleep(10);
        }
        await server.cut();
        const { exitCode } = await run;
        expect([exitCode, existsSync(remote("large"))]).toEqual([1, false]);
        await server.boot();
        await stack.must("sync");
        expect(readFileSync(remote("large")).equals(bytes)).toBe(true);
    });
});

describe("a server's host key", () => {
    it("is refused where it has changed, and where it is not known", async () => {
        await server.cut();
        await server.changeKey();
        await server.boot();
        const changed = await stack.carbon(["status"]);
        expect(changed.exitCode).toBe(1);
        expect(changed.said).toContain(
            "The server root@198.18.41.2 shows another host key than the one that is known of it.",
        );
        expect((await stack.carbon(["up"])).exitCode).toBe(1);
        writeFileSync(join(server.folder, "known_hosts"), "");
        const unknown = await stack.carbon(["status"]);
        expect(unknown.said).toContain(
            "The host key of root@198.18.41.2 is not known yet. Type: ssh root@198.18.41.2 true",
        );
        server.trustKey();
        expect((await stack.must("status")).json.healthy).toBe(true);
    });
});

it("A stack on a server is missed where something of it is gone, goes with its data, and leaves the folder", async () => {
    await server.engine.docker("rm", "--force", `carbon-${name}-redis`);
    expect((await stack.carbon(["drift"])).exitCode).toBe(3);
    await stack.must("down", "--volumes");
    expect(await server.engine.docker("ps", "--all", "--quiet")).toBe("");
    expect(await server.engine.docker("volume", "ls", "--quiet")).toBe("");
    expect(existsSync(join(there, "deep/a"))).toBe(true);
});
