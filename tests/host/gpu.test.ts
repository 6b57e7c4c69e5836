// Kernels on this machine itself, for real: installed from PyPI, run, watched and removed. Linux's way, where it is the
// same as a Mac's but for launchd. No Docker.
import {
    existsSync,
    mkdirSync,
    mkdtempSync,
    readdirSync,
    readFileSync,
    rmSync,
    statSync,
    symlinkSync,
    writeFileSync,
} from "node:fs";
import { createServer as createHttpServer, get } from "node:http";
import { createServer } from "node:net";
import { arch, platform, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort } from "../ports";

const root = join(__dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "carbon-host-"));
// A blank, as in a Mac's own.
const home = join(folder, "Carbon GPU");
const workspace = join(folder, "project", "workspace");
const kernel = "host-python";
let url = "";

async function carbon(...args: string[]) {
    const env = {
        CARBON_PROJECT_DIR: join(folder, "project"),
        CARBON_GPU_HOME: home,
        // What Docker's bridge would be, without Docker.
        CARBON_GPU_ADDRESS: "127.0.0.1",
        NO_COLOR: "1",
        // Stands for what must not reach a kernel.
        PULUMI_CONFIG_PASSPHRASE: "not for kernels",
    };
    return execa(join(root, "carbon"), [...args], { env, reject: false, stdin: "ignore" });
}

async function done(...args: string[]) {
    const result = await carbon(...args);
    expect(result.exitCode, `${result.stdout}\n${result.stderr}`).toBe(0);
    return result;
}

/** What the status says, and its exit code. */
async function status() {
    const { exitCode, stdout } = await carbon("gpu", "status", "--json");
    return { exitCode, ...JSON.parse(stdout) };
}

const token = () => readFileSync(join(home, "token"), "utf8").trim();

/** Status of an answer of the gateway's. */
async function ask(headers: Record<string, string>, method = "GET"): Promise<number> {
    const body = method === "POST" ? JSON.stringify({ name: kernel }) : undefined;
    return (await fetch(`${url}/api/kernels`, { method, headers, body })).status;
}

const known = () => ({ Authorization: `token ${token()}` });

/** Runs code on a new kernel, as JupyterLab does through the gateway. */
async function runCode(code: string, env: Record<string, string> = {}) {
    const client = join(__dirname, "kernel-client.py");
    const args = [client, url, kernel, code, JSON.stringify(env)];
    const { stdout } = await execa(join(home, "gateway", "bin", "python"), args, { input: token() });
    const { id, text, status } = JSON.parse(stdout);
    await fetch(`${url}/api/kernels/${id}`, { method: "DELETE", headers: known() });
    expect(status).toBe("ok");
    return text.trim();
}

/** Processes that have to do with the host's folder, as `ps` shows them to everybody. */
async function running(): Promise<string[]> {
    const { stdout } = await execa("ps", ["-eo", "pid=,args="]);
    return stdout.split("\n").filter((line) => line.includes(home));
}

async function eventually(what: () => Promise<boolean>, seconds = 30): Promise<void> {
    const deadline = Date.now() + seconds * 1000;
    while (!(await what())) {
        expect(Date.now(), String(what)).toBeLessThan(deadline);
        await sleep(200);
    }
}

beforeAll(async () => {
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    mkdirSync(join(workspace, "sub"), { recursive: true });
    const config = { "carbon:gpu": "host", "carbon:gpuPort": port, "carbon:workspaceDir": "./workspace" };
    writeFileSync(join(folder, "project", "Pulumi.yaml"), readFileSync(join(root, "Pulumi.yaml")));
    writeFileSync(join(folder, "project", "Pulumi.dev.yaml"), JSON.stringify({ config }));
});

afterAll(async () => {
    await carbon("gpu", "uninstall", "--yes");
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});

// Each builds on what the ones before have left.
describe("kernels on this machine", () => {
    it("are not there before they are installed, and status says what to type", async () => {
        expect(await status()).toMatchObject({ exitCode: 1, installed: false });
        const { exitCode, stderr } = await carbon("gpu", "start");
        expect(exitCode).toBe(1);
        expect(stderr).toContain("No kernels are installed on this machine. Type: ./carbon gpu install");
    });

    it("are not installed without a yes, nor under a name that is none", async () => {
        expect(await carbon("gpu", "install")).toMatchObject({ exitCode: 2 });
        const { exitCode, stderr } = await carbon("gpu", "install", "--kernel", "mac-toast", "--yes");
        expect(exitCode).toBe(2);
        expect(stderr).toMatch(
            /There is no kernel "mac-toast" for this machine .*Allowed: host-torch, host-python\./,
        );
        expect(existsSync(home)).toBe(false);
    });

    it("are installed from nothing, after a screen that says what it means", async () => {
        const { stdout } = await done("gpu", "install", "--kernel", kernel, "--yes");
        expect(stdout).toMatch(/runs as you \(\w+\) on this machine/);
        expect(stdout).toContain(`Ready: ${kernel}; the gateway answers on ${url}.`);
        expect(await status()).toMatchObject({
            exitCode: 0,
            answers: true,
            guarded: true,
            isRunning: true,
            kernels: [{ name: kernel, installed: true, current: true, running: 0 }],
            workspaces: { dev: workspace },
        });
    });

    it("are left as they are when nothing has changed", async () => {
        const before = (await running()).sort();
        const { stdout } = await done("gpu", "install", "--yes");
        expect(stdout).not.toContain("Installing");
        expect((await running()).sort()).toEqual(before);
    });

    it("answer nobody without the token, and no page of another origin", async () => {
        expect(await ask({})).toBe(401);
        expect(await ask({ Authorization: "token 123" })).toBe(401);
        expect(await ask({}, "POST")).toBe(401);
        expect(await ask(known())).toBe(200);
        const foreign = { ...known(), Origin: "http://evil.example" };
        expect(await ask(foreign)).toBe(404);
        expect(await ask(foreign, "POST")).toBe(404);
        expect((await status()).kernels[0].running).toBe(0);
    });

    it("answer to no name but their own, describe themselves to nobody, and take no token in an address", async () => {
        const named = (Host: string) =>
            new Promise<number | undefined>((resolve, reject) => {
                const options = { headers: { ...known(), Host } };
                get(`${url}/api/kernels`, options, (answer) => resolve(answer.resume().statusCode)).on(
                    "error",
                    reject,
                );
            });
        const { port } = new URL(url);
        expect(await named(`host.docker.internal:${port}`)).toBe(200);
        expect(await named(`evil.example:${port}`)).toBe(403);
        expect((await fetch(`${url}/api/swagger.json`)).status).toBe(404);
        expect((await fetch(`${url}/api/kernels?token=${token()}`)).status).toBe(403);
        expect(readFileSync(join(home, "logs", "gateway.log"), "utf8")).not.toContain(token());
    });

    it("keep the token from other users, and out of arguments, environments and logs", async () => {
        expect(statSync(home).mode & 0o777).toBe(0o700);
        const files = readdirSync(home).map((name) => join(home, name));
        for (const file of files.filter((name) => statSync(name).isFile())) {
            expect(statSync(file).mode & 0o777, file).toBe(0o600);
        }
        if (process.getuid?.() === 0) {
            const stranger = { uid: 65534, gid: 65534, cwd: "/", reject: false };
            expect((await execa("cat", [join(home, "token")], stranger)).stderr).toContain("denied");
            expect((await execa("ls", [home], stranger)).exitCode).not.toBe(0);
        }
        const secret = token();
        expect(secret).toMatch(/^[A-Za-z0-9]{48}$/);
        const seen = await running();
        expect(seen.length).toBeGreaterThanOrEqual(2);
        for (const line of seen) {
            expect(line).not.toContain(secret);
            const [pid] = line.trim().split(" ");
            if (platform() === "linux") {
                const environment = readFileSync(`/proc/${pid}/environ`, "utf8");
                expect(environment).not.toContain(secret);
                expect(environment).not.toContain("not for kernels");
            }
        }
        for (const log of readdirSync(join(home, "logs"))) {
            expect(readFileSync(join(home, "logs", log), "utf8")).not.toContain(secret);
        }
    });

    it("listen on the one address, of which the rest of the machine is none", async () => {
        const { port } = new URL(url);
        const other = await fetch(`http://127.0.0.2:${port}/api`).catch((error) => error.cause.code);
        expect(other).toBe("ECONNREFUSED");
    });

    it("run a cell, on this machine and in its own folder for that of /workspace", async () => {
        const code =
            "import os, platform, sys; print(platform.node(), platform.machine(), os.getcwd(), sys.prefix)";
        const env = { KERNEL_WORKING_DIR: "/workspace/sub", CARBON_STACK: "dev" };
        const [node, machine, cwd, ...prefix] = (await runCode(code, env)).split(" ");
        expect(node).toBe((await execa("uname", ["-n"])).stdout);
        expect(machine).toBe({ x64: "x86_64", arm64: "aarch64" }[arch() as "x64"]);
        expect(cwd).toBe(join(workspace, "sub"));
        expect(prefix.join(" ")).toBe(join(home, "envs", kernel));
        const bytes = "import subprocess; print(subprocess.check_output(['which', 'pip'], text=True))";
        expect(await runCode(bytes)).toBe(join(home, "envs", kernel, "bin", "pip"));
    });

    it.each([
        ["outside of /workspace", "/home/carbon"],
        ["above it", "/workspace/../../.."],
        ["through a link that leads out", "/workspace/out"],
        ["where there is no folder", "/workspace/missing"],
    ])("start in the workspace folder where the client is %s", async (_, inside) => {
        if (!existsSync(join(workspace, "out"))) {
            symlinkSync("/etc", join(workspace, "out"));
        }
        const env = { KERNEL_WORKING_DIR: inside, CARBON_STACK: "dev" };
        expect(await runCode("import os; print(os.getcwd())", env)).toBe(workspace);
    });

    it("hand nothing of a kernel's talk to other users: it is encrypted", () => {
        const log = readFileSync(join(home, "logs", "gateway.log"), "utf8");
        expect(log).toContain("Kernel started");
        expect(log).not.toContain("without encryption");
    });

    it("come back when the gateway is killed, and its kernels end with it", async () => {
        const started = await fetch(`${url}/api/kernels`, {
            method: "POST",
            headers: known(),
            body: JSON.stringify({ name: kernel }),
        });
        expect(started.status).toBe(201);
        await eventually(async () => (await running()).some((line) => line.includes("ipykernel_launcher")));
        const [gateway = ""] = (await running()).filter((line) => line.includes("carbon_gateway.py"));
        process.kill(Number.parseInt(gateway, 10), "SIGKILL");
        await eventually(async () => (await ask(known()).catch(() => 0)) === 200);
        expect(await status()).toMatchObject({ exitCode: 0, kernels: [{ running: 0 }] });
        await eventually(async () => !(await running()).some((line) => line.includes("ipykernel_launcher")));
        expect(await runCode("print(6 * 7)")).toBe("42");
    });

    it("are stopped, and started again", async () => {
        await done("gpu", "stop");
        expect(await running()).toEqual([]);
        expect(await status()).toMatchObject({ exitCode: 1, answers: false, isRunning: false });
        expect((await done("gpu", "stop")).stdout).toBe("It is stopped already.");
        await done("gpu", "start");
        expect(await status()).toMatchObject({ exitCode: 0, isRunning: true });
    });

    it("run beside other servers, which come and go without them", async () => {
        const list = join(home, "processes.json");
        const before = readFileSync(list, "utf8");
        const state = () => JSON.parse(readFileSync(join(home, "run", "state.json"), "utf8"));
        const gateway = state().gateway.pid;
        const [supervisor = ""] = (await running()).filter((line) => line.includes("supervise.py"));
        const reload = () => process.kill(Number.parseInt(supervisor, 10), "SIGHUP");
        const argv = [join(home, "gateway/bin/python"), "-c", "print('hello', flush=True); input()"];
        writeFileSync(list, JSON.stringify([...JSON.parse(before), { name: "extra", argv, env: {} }]));
        reload();
        // It reads the end of its input at once, ends, and is started again, later each time.
        await eventually(async () => state().extra?.restarts >= 2);
        expect(readFileSync(join(home, "logs", "extra.log"), "utf8")).toMatch(
            /hello\n[\s\S]*It ended with 1\.\n.*Started again in 2 s\.\n[\s\S]*Started again in 4 s\./,
        );
        writeFileSync(list, before);
        reload();
        await eventually(async () => state().extra === undefined);
        expect(state().gateway.pid).toBe(gateway);
    });

    it("leave nothing running when what keeps them running is killed, and start again", async () => {
        const [supervisor = ""] = (await running()).filter((line) => line.includes("supervise.py"));
        process.kill(Number.parseInt(supervisor, 10), "SIGKILL");
        const isDetached = JSON.parse((await carbon("gpu", "status", "--json")).stdout).runner === "detached";
        if (isDetached) {
            await eventually(async () => (await running()).length === 0);
            await done("gpu", "start");
        }
        await eventually(async () => (await ask(known()).catch(() => 0)) === 200);
    });

    it("are found again where the list of what is to run is damaged, and has to be removed", async () => {
        const list = join(home, "config.json");
        writeFileSync(list, "{");
        const { exitCode, stderr } = await carbon("gpu", "install", "--yes");
        expect(exitCode).toBe(1);
        expect(stderr).toContain("is not as the suite writes it. Remove it and type: ./carbon gpu install");
        rmSync(list);
        const { stdout } = await done("gpu", "install", "--kernel", kernel, "--yes");
        expect(stdout).not.toContain("Installing");
        expect(await status()).toMatchObject({ exitCode: 0, kernels: [{ name: kernel, current: true }] });
    });

    it("are made anew on demand, without what was installed into them", async () => {
        const own = join(home, "envs", kernel, "of-the-user");
        writeFileSync(own, "");
        expect((await carbon("gpu", "install", "--anew")).exitCode).toBe(2);
        expect(existsSync(own)).toBe(true);
        const { stdout } = await done("gpu", "install", "--anew", "--yes");
        expect(stdout).toContain(
            `To be removed, with what you have installed into them: the environments ${kernel}.`,
        );
        expect(existsSync(own)).toBe(false);
        expect(await status()).toMatchObject({ exitCode: 0, kernels: [{ name: kernel, current: true }] });
    });

    it("are started anew with another program than the one that runs", async () => {
        const program = join(home, "lib", "carbon_gateway.py");
        const current = readFileSync(program, "utf8");
        // None between the end of one and the start of the next.
        const state = () => JSON.parse(readFileSync(join(home, "run", "state.json"), "utf8")).gateway?.pid;
        await done("gpu", "install", "--yes");
        const before = state();
        // As an older clone has installed and started it.
        writeFileSync(program, `${current}# before\n`);
        const list = join(home, "processes.json");
        const processes = JSON.parse(readFileSync(list, "utf8"));
        writeFileSync(list, JSON.stringify(processes.map((one: object) => ({ ...one, digest: "older" }))));
        const [supervisor = ""] = (await running()).filter((line) => line.includes("supervise.py"));
        process.kill(Number.parseInt(supervisor, 10), "SIGHUP");
        await eventually(async () => ![before, null, undefined].includes(state()));
        const older = state();
        await done("gpu", "upgrade", "--yes");
        expect(readFileSync(program, "utf8")).toBe(current);
        expect(state()).not.toBe(older);
        expect(await status()).toMatchObject({ exitCode: 0 });
    });

    it("are not taken for another program that has their port, and it is not shown the token", async () => {
        await done("gpu", "stop");
        const shown: string[] = [];
        const stranger = createHttpServer((request, answer) => {
            shown.push(`${request.url} ${JSON.stringify(request.headers)}`);
            answer.end("[]");
        });
        await new Promise<void>((ready) => stranger.listen(Number(new URL(url).port), "127.0.0.1", ready));
        try {
            expect(await status()).toMatchObject({
                exitCode: 1,
                answers: false,
                reason: expect.stringContaining("does not know the token"),
            });
            expect((await carbon("gpu", "install", "--yes")).stderr).toContain("is taken by another program");
        } finally {
            stranger.closeAllConnections();
            await new Promise((closed) => stranger.close(closed));
        }
        expect(shown.length).toBeGreaterThan(0);
        expect(shown.join()).not.toContain(token());
        await done("gpu", "start");
        expect(await status()).toMatchObject({ exitCode: 0 });
    });

    it("take a new token, and refuse the old one", async () => {
        const old = token();
        const { stdout } = await done("gpu", "rotate", "--yes");
        expect(stdout).toContain("Hand it to the workspace: ./carbon up");
        expect(token()).not.toBe(old);
        expect(await ask({ Authorization: `token ${old}` })).toBe(401);
        expect(await ask(known())).toBe(200);
    });

    it("hand on all that a program writes, however much", async () => {
        const written = await runCode("for _ in range(12): print('x' * 999_999)");
        expect(written.length).toBe(12 * 1e6 - 1);
    });

    it.skipIf(platform() !== "linux")("keep to a log of bounded size", async () => {
        // What a program in a kernel writes past it, to the gateway's own output.
        const loud =
            "import os; f = open(f'/proc/{os.getppid()}/fd/1', 'w'); [print('x' * 999_999, file=f) for _ in range(12)]";
        await runCode(loud);
        await sleep(1000);
        const sizes = readdirSync(join(home, "logs")).map((name) => statSync(join(home, "logs", name)).size);
        expect(Math.max(...sizes)).toBeGreaterThan(1e6);
        expect(Math.max(...sizes)).toBeLessThan(6e6);
    });

    it("refuse a port that another program has, before anything is touched", async () => {
        const server = createServer();
        await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
        const address = server.address();
        const port = typeof address === "object" && address ? address.port : 0;
        const file = join(folder, "project", "Pulumi.other.yaml");
        writeFileSync(file, JSON.stringify({ config: { "carbon:gpu": "host", "carbon:gpuPort": port } }));
        const before = readFileSync(join(home, "config.json"), "utf8");
        try {
            const { exitCode, stderr } = await carbon("gpu", "install", "--yes", "--stack", "other");
            expect(exitCode).toBe(1);
            expect(stderr).toContain(`carbon:gpuPort is ${port}, and the gateway of this machine is on`);
            expect(readFileSync(join(home, "config.json"), "utf8")).toBe(before);
        } finally {
            server.close();
        }
    });

    it("are gone after uninstall, with every file and process", async () => {
        const { stdout } = await done("gpu", "uninstall", "--yes");
        expect(stdout).toContain("Set their carbon:gpu to off and carbon:llm to service, and deploy them.");
        expect(existsSync(home)).toBe(false);
        expect(await running()).toEqual([]);
        expect(readdirSync(folder)).toEqual(["project"]);
        expect((await done("gpu", "uninstall", "--yes")).stdout).toBe("Nothing is installed.");
    });
});
