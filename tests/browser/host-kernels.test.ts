// Kernels on the user's machine: a real gateway on the machine that runs the tests, and the workspace's side of it.
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
    type ExecResult,
    exec,
    hostPort,
    logs,
    putSecret,
    removeAll,
    run,
    secrets,
    until,
    untilHealthy,
} from "../image/base-container";
import { type ComputeWorkspace, computeImage, startWorkspace } from "../image/compute-image";
import { openPage, takePicture } from "../image/jupyter";
import { launchBrowser } from "./desktop-clients";
import { type HostGateway, hostKernel, startHostGateway } from "./host-gateway";

const away = "The kernel gateway on your machine does not answer.\nType ./carbon gpu start on your Mac";
const refused = "The kernel gateway on your machine refuses this workspace's token";

let gateway: HostGateway;
let jupyter: ComputeWorkspace;
let browser: Browser;
const errors: string[] = [];

beforeAll(async () => {
    [gateway, browser] = await Promise.all([startHostGateway(), launchBrowser()]);
    jupyter = await startWorkspace({
        image: computeImage(),
        binds: [`${gateway.workspace}:/workspace`],
        secrets: { ...secrets, gpu: gateway.token() },
        stack: { gpu: { route: "host", url: gateway.url, stack: gateway.stack } },
    });
});
afterAll(async () => {
    await browser?.close();
    await removeAll();
    await gateway?.remove();
});

const asCarbon = (script: string) => run(jupyter.container, ["bash", "-ec", script], "carbon");
const api = (path: string, method = "GET", body?: unknown) =>
    fetch(`${jupyter.address}/api/${path}`, {
        method,
        headers: { Authorization: `token ${jupyter.token}` },
        ...(body !== undefined && { body: JSON.stringify(body) }),
    });
const startSession = (kernel: string, path = `${kernel}.ipynb`) =>
    api("sessions", "POST", { path, name: path, type: "notebook", kernel: { name: kernel } });

async function endSessions(): Promise<void> {
    for (const { id } of (await (await api("sessions")).json()) as { id: string }[]) {
        await api(`sessions/${id}`, "DELETE");
    }
}

async function kernelNames(): Promise<Record<string, string>> {
    const { kernelspecs } = (await (await api("kernelspecs")).json()) as {
        kernelspecs: Record<string, { spec: { display_name: string } }>;
    };
    return Object.fromEntries(
        Object.entries(kernelspecs).map(([name, { spec }]) => [name, spec.display_name]),
    );
}

/** Restarts the container, and finds it at the port that Docker gives it then. */
async function restart({ patience = 30 } = {}): Promise<void> {
    await jupyter.container.restart({ t: patience });
    jupyter.address = `http://127.0.0.1:${await hostPort(jupyter.container, 8888)}`;
}

/** Seconds from a start of the container to the server's answer. */
async function secondsToStart(): Promise<number> {
    await restart();
    const begin = Date.now();
    await until(
        "Jupyter answers",
        120,
        async () => (await fetch(`${jupyter.address}/api`).catch(() => ({ ok: false }))).ok,
    );
    return (Date.now() - begin) / 1000;
}

describe("JupyterLab", () => {
    it("starts a kernel of the machine's before anybody has asked which there are", async () => {
        await secondsToStart();
        expect((await startSession(hostKernel)).status).toBe(201);
        await endSessions();
    });

    it("has container and host kernels side by side, the host's marked, the container's by default", async () => {
        expect(await kernelNames()).toMatchObject({
            python3: "Python 3 (Carbon)",
            [hostKernel]: "Python [host]",
        });
        expect(await (await api("kernelspecs")).json()).toMatchObject({ default: "python3" });
        expect((await api("../kernelspecs/python3/logo-64x64.png".replace("../", ""))).status).toBe(404);
        const logo = await fetch(
            `${jupyter.address}/kernelspecs/python3/logo-64x64.png?token=${jupyter.token}`,
        );
        expect([200, 404]).toContain(logo.status);
    });

    const shown = ".jp-NotebookPanel:not(.lm-mod-hidden)";
    const cell = (page: Page, number: number) => page.locator(`${shown} .jp-CodeCell`).nth(number);
    const output = async (page: Page, number: number, text: string | RegExp) => {
        const found = cell(page, number).locator(".jp-OutputArea-output", { hasText: text }).first();
        await found.waitFor({ timeout: 60_000 });
        return ((await found.textContent()) ?? "").trimEnd();
    };

    async function open(kernel: string, cells: string[], { idle = true } = {}): Promise<Page> {
        const name = `${kernel}-${Math.random().toString(36).slice(2)}.ipynb`;
        const code = (source: string, index: number) => ({
            id: `cell-${index}`,
            cell_type: "code",
            source,
            metadata: {},
            outputs: [],
            execution_count: null,
        });
        const content = {
            cells: cells.map(code),
            metadata: { kernelspec: { name: kernel, display_name: kernel, language: "python" } },
            nbformat: 4,
            nbformat_minor: 5,
        };
        await asCarbon("mkdir -p /workspace/sub");
        expect((await api(`contents/sub/${name}`, "PUT", { type: "notebook", content })).ok).toBe(true);
        // A workspace of its own: JupyterLab opens what was open before.
        const page = await openPage(
            browser,
            jupyter,
            `/lab/workspaces/${name.slice(0, -6)}/tree/sub/${name}`,
            errors,
        );
        await page.locator(`${shown} .jp-Cell`).first().waitFor({ timeout: 120_000 });
        if (idle) {
            // It looks idle before it has a kernel, too.
            await page
                .locator(`${shown} .jp-Toolbar-kernelName`, { hasNotText: "No Kernel" })
                .waitFor({ timeout: 120_000 });
            await page
                .locator(`${shown} .jp-Notebook-ExecutionIndicator[data-status=idle]`)
                .waitFor({ timeout: 120_000 });
        }
        return page;
    }

    async function start(page: Page, number: number): Promise<void> {
        await cell(page, number).locator(".cm-content").click();
        await page.keyboard.press("Control+Enter");
    }

    const press = (page: Page, command: string) =>
        page.locator(`${shown} [data-command="${command}"]`).first().click();

    it("runs cells there, in the notebook's own folder: a plot, a progress bar, input, and an interrupt", async () => {
        const page = await open(hostKernel, [
            "import os, platform; print(platform.node(), os.getcwd())",
            "import matplotlib.pyplot as plt\nplt.plot([1, 3, 2]); plt.show()",
            "import time\nfrom tqdm.auto import tqdm\nfor _ in tqdm(range(4)): time.sleep(0.2)",
            "print('hello', input('name? '))",
            "import io, ipywidgets\nfile = io.BytesIO(); plt.plot([1]); plt.savefig(file, format='png'); plt.close()\nipywidgets.Image(value=file.getvalue())",
            "for i in range(600): print(i, flush=True); time.sleep(0.1)",
            "6 * 7",
        ]);
        expect(await page.locator(`${shown} .jp-Toolbar-kernelName`).textContent()).toBe("Python [host]");
        await start(page, 0);
        expect(await output(page, 0, hostname())).toBe(`${hostname()} ${join(gateway.workspace, "sub")}`);
        await start(page, 1);
        await cell(page, 1).locator("img").first().waitFor({ timeout: 60_000 });
        await start(page, 2);
        await output(page, 2, "4/4");
        await start(page, 3);
        await cell(page, 3).locator("input.jp-Stdin-input").fill("Ada");
        await page.keyboard.press("Enter");
        await output(page, 3, "hello Ada");
        await start(page, 5);
        await output(page, 5, "3");
        await press(page, "notebook:interrupt-kernel");
        await output(page, 5, "KeyboardInterrupt");
        await start(page, 6);
        await output(page, 6, "42");
        await takePicture(page, "host-kernel");
        await page.close();
        await endSessions();
        await until("no kernel is left", 20, async () => (await gateway.running()).length === 0);
    });

    it("leaves the container's kernels as they are, restarts among it", async () => {
        const page = await open("python3", ["import platform; platform.node()", "1 + 1"]);
        await start(page, 0);
        const node = (await jupyter.container.inspect()).Config.Hostname;
        expect(await output(page, 0, node)).toContain(node);
        await asCarbon("pkill -9 -f python_kernel.py");
        await page.locator(".jp-Dialog button", { hasText: "Ok" }).click({ timeout: 60_000 });
        await start(page, 1);
        await output(page, 1, "2");
        await page.close();
        await endSessions();
    });

    it("says in the cell that the gateway is gone, and starts a new kernel when asked to restart", async () => {
        const page = await open(hostKernel, [
            "import time\nfor i in range(600): print(i, flush=True); time.sleep(0.1)",
            "6 * 7",
        ]);
        await start(page, 0);
        await output(page, 0, "3");
        await gateway.kill();
        await output(page, 0, /has ended, and its variables are gone|is lost/);
        await until(
            "the session is gone",
            60,
            async () => ((await (await api("sessions")).json()) as []).length === 0,
        );
        await page.waitForTimeout(12_000);
        await press(page, "notebook:restart-kernel");
        await page.waitForTimeout(3_000);
        await start(page, 1);
        await output(page, 1, "42");
        await page.close();
        await endSessions();
    });

    it("has the next server end what one that was killed has left running", async () => {
        expect((await startSession(hostKernel)).status).toBe(201);
        expect(await gateway.running()).toHaveLength(1);
        await restart({ patience: 0 });
        await untilHealthy(jupyter.container, 120);
        await until("no kernel is left", 60, async () => (await gateway.running()).length === 0);
    });

    it("starts as fast as ever without a gateway, and then says what to type", async () => {
        const usual = await secondsToStart();
        await gateway.carbonGpu("stop");
        try {
            expect(await secondsToStart()).toBeLessThan(usual + 3);
            const begin = Date.now();
            expect(await kernelNames()).toHaveProperty(hostKernel);
            expect(Date.now() - begin).toBeLessThan(3_000);

            const page = await open(hostKernel, ["1"], { idle: false });
            await page.locator(".jp-Dialog", { hasText: away }).waitFor({ timeout: 60_000 });
            await takePicture(page, "host-kernel-away");
            await page.close();
            const container = await open("python3", ["6 * 7"]);
            await start(container, 0);
            await output(container, 0, "42");
            await container.close();
        } finally {
            await gateway.carbonGpu("start");
        }
        await until("it starts again", 40, async () => (await startSession(hostKernel)).status === 201);
        await endSessions();
    });
});

/** Runs carbon-gpu in /workspace. */
function gpu(args: string, { folder = "/workspace", input = "/dev/null" } = {}): Promise<ExecResult> {
    return exec(jupyter.container, ["bash", "-c", `cd ${folder} && < ${input} carbon-gpu ${args}`], "carbon");
}

describe("carbon-gpu", () => {
    beforeAll(async () => {
        await asCarbon(`mkdir -p /workspace/program/package && cd /workspace/program
cat > train.py << 'END'
import argparse, os, platform, sys, time
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
for epoch in range(parser.parse_args().epochs):
    print("epoch", epoch, platform.node(), os.getcwd())
    print("loss", epoch, file=sys.stderr)
    time.sleep(1)
END
echo 'import sys; print(__name__, sys.argv[1:])' > package/module.py
printf 'Ada\\nLovelace\\n' > names`);
    });

    const folder = "/workspace/program";

    it("runs a program on the machine, in the same folder, and shows its output as it comes", async () => {
        const stamp = 'while IFS= read -r line; do echo "$(date +%s) $line"; done';
        const command = `cd ${folder} && carbon-gpu python train.py --epochs 3 2>&1 < /dev/null | ${stamp}`;
        const lines = (await run(jupyter.container, ["bash", "-c", command], "carbon")).split("\n");
        expect(
            lines.filter((line) => line.includes(`${hostname()} ${join(gateway.workspace, "program")}`)),
        ).toHaveLength(3);
        expect(lines.filter((line) => / loss \d$/.test(line))).toHaveLength(3);
        const [first = 0, last = 0] = [lines[0], lines.at(-1)].map((line) => Number(line?.split(" ")[0]));
        expect(last - first).toBeGreaterThanOrEqual(1);
    });

    it.each([
        ["python -m package.module 'a b'", 0, "__main__ ['a b']"],
        ["python -c 'import sys; sys.exit(3)'", 3, ""],
        ["python -c '1/0'", 1, "ZeroDivisionError: division by zero"],
        ["python -c 'import os; os.abort()'", 134, ""],
        ["python -c 'import os; os.kill(os.getpid(), 9)'", 137, ""],
        ["python missing.py", 2, "can't open file"],
        [`--kernel ${hostKernel} pip --version`, 0, `envs/${hostKernel}/`],
        ["python -c 'print(open(\"/run/carbon/user/gpu\").read())'", 1, "FileNotFoundError"],
        ["status", 0, `${hostKernel.padEnd(18)}Python [host]`],
    ])("%s: %i", async (args, code, output) => {
        expect(await gpu(args, { folder })).toEqual({ code, output: expect.stringContaining(output) });
    });

    it("hands over what is typed", async () => {
        const { output } = await gpu("python -c 'print(input(\"? \"), input())'", { folder, input: "names" });
        expect(output).toBe("? Ada Lovelace\n");
    });

    it("loses nothing of a long output, and stops when nobody reads it", async () => {
        expect((await gpu("python -c 'for i in range(200000): print(i)' | tail -1")).output).toBe("199999\n");
        const { output } = await gpu("python -c 'for i in range(10000000): print(i)' | head -2");
        expect(output).toBe("0\n1\n");
    });

    /** Starts a program that counts, sends signals a second apart, and returns the exit code and what it said. */
    const signalled = (signals: string[], program: string) =>
        exec(
            jupyter.container,
            [
                "bash",
                "-c",
                `cd /workspace; carbon-gpu python -c "${program}" > /tmp/counted 2>&1 < /dev/null & pid=$!
for _ in {1..300}; do ! grep -q 1 /tmp/counted || break; sleep 0.2; done
for signal in ${signals.join(" ")}; do kill -$signal $pid; sleep 1; done
wait $pid; code=$?; tail -3 /tmp/counted; exit $code`,
            ],
            "carbon",
        );
    const counts = "import time\\nwhile True: print(1); time.sleep(0.2)".replace("\\n", "\n");
    const stubborn = `
import time
while True:
    try:
        print(1); time.sleep(0.2)
    except KeyboardInterrupt:
        print('no')`;

    it("interrupts the program on Ctrl-C, and ends the kernel on the second", async () => {
        expect(await signalled(["INT"], counts)).toEqual({
            code: 130,
            output: expect.stringContaining("KeyboardInterrupt"),
        });
        expect(await signalled(["INT", "INT"], stubborn)).toMatchObject({ code: 130 });
        await until("no kernel is left", 20, async () => (await gateway.running()).length === 0);
    });

    it.each([
        ["TERM", 143],
        ["HUP", 129],
        ["KILL", 137],
    ])("leaves no kernel behind where it ends by SIG%s", async (name, code) => {
        expect(await signalled([name], counts)).toMatchObject({ code });
        // After a kill it is JupyterLab that sees to it.
        await until("no kernel is left", 60, async () => (await gateway.running()).length === 0);
    });

    it.each([
        ["--kernel mac-nothing python", "/workspace", 2, `no kernel mac-nothing. It has: ${hostKernel}.`],
        ["python -c 1", "/tmp", 125, "cd /workspace first"],
        ["ruby", "/workspace", 2, "invalid choice: 'ruby'"],
    ])("refuses %s in %s", async (args, where, code, output) => {
        expect(await gpu(args, { folder: where })).toEqual({ code, output: expect.stringContaining(output) });
    });

    it("says what to type where the gateway is away", async () => {
        await gateway.carbonGpu("stop");
        const answer = await gpu("python -c 1");
        await gateway.carbonGpu("start");
        expect(answer).toEqual({ code: 125, output: expect.stringContaining(away) });
        expect(await gpu("python -c 1")).toEqual({ code: 0, output: "" });
    });
});

describe("the token", () => {
    it("is in no environment, argument, log and page's address", async () => {
        const token = gateway.token();
        expect((await startSession(hostKernel)).status).toBe(201);
        expect((await startSession("python3")).status).toBe(201);
        await gpu("python -c 1");
        const { stdout } = await execa("docker", ["inspect", jupyter.container.id]);
        expect(stdout).not.toContain(token);
        const processes = "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | tr '\\0' '\\n'";
        expect(
            await run(jupyter.container, ["bash", "-c", `${processes} 2> /dev/null || true`]),
        ).not.toContain(token);
        expect(await logs(jupyter.container)).not.toContain(token);
        await endSessions();
    });

    it("is refused with what to type where it is another, and counts anew with the next start", async () => {
        await gateway.carbonGpu("rotate", "--yes");
        await sleep(1000);
        expect(await gpu("status")).toEqual({ code: 125, output: expect.stringContaining(refused) });
        const answer = await startSession(hostKernel);
        expect([answer.status, await answer.text()]).toEqual([500, expect.stringContaining(refused)]);
        await putSecret(jupyter.container, "gpu", gateway.token());
        await restart();
        await untilHealthy(jupyter.container, 120);
        expect((await startSession(hostKernel)).status).toBe(201);
        expect(await gpu("python -c 'print(6 * 7)'")).toEqual({ code: 0, output: "42\n" });
        await endSessions();
    });
});
