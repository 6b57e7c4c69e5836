import { connect } from "node:net";
import { text } from "node:stream/consumers";
import type Docker from "dockerode";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { exec, hostPort, logs, removeAll, run, secrets, startHealthy, until } from "../image/base-container";
import { baseImage, readImageJson } from "../image/base-image";
import { computeImage } from "../image/compute-image";
import { launchBrowser } from "./desktop-clients";

/** Starts a program of the user's in a login shell, as a terminal does; what it prints is in /tmp/NAME.log. */
async function start(container: Docker.Container, name: string, command: string): Promise<void> {
    await run(
        container,
        ["bash", "-lc", `cd /workspace; ${command} > /tmp/${name}.log 2>&1 < /dev/null &`],
        "carbon",
    );
}

const write = (container: Docker.Container, path: string, content: string) =>
    run(
        container,
        ["bash", "-c", `base64 -d > ${path} <<< ${Buffer.from(content).toString("base64")}`],
        "carbon",
    );

/** Says so once all has come; answers `slow` after 11 s, longer than the forwarder waits for anything of its own. */
const server = `
import socket, socketserver, sys, time
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        said = self.rfile.read()
        if said == b"slow":
            time.sleep(11)
        self.wfile.write(b"%d bytes on %d" % (len(said), self.server.server_address[1]))
class Server(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
    request_queue_size = 512
Server((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()`;

/** A forwarder of its own, whose process is collected while it waits for the program. */
const collected = `
import asyncio, gc, sys
sys.path.insert(0, "/usr/local/lib/carbon")
import apps
async def main():
    forwarder = asyncio.create_task(apps.Forwarder([apps.AppPort(5001, 5001, 61009)]).serve())
    await asyncio.sleep(0.5)
    reader, writer = await asyncio.open_connection("127.0.0.1", 61009)
    writer.write(b"slow")
    writer.write_eof()
    await asyncio.sleep(1)
    gc.collect()
    print((await reader.read()).decode())
    forwarder.cancel()
asyncio.run(main())`;

describe("ports of the user's own programs", () => {
    const appPorts = [
        { port: 7860, published: 7860, forward: 61000 },
        { port: 8501, published: 18501, forward: 61001 },
        { port: 5001, published: 5001, forward: 61002 },
        { port: 8050, published: 8050, forward: 61003 },
        { port: 8000, published: 8000, forward: 61004 },
    ];
    let workspace: Docker.Container;
    const ports: Record<number, number> = {};

    beforeAll(async () => {
        workspace = await startHealthy({
            image: baseImage(),
            role: "workspace",
            ports: appPorts.map(({ forward }) => forward),
            stack: { appPorts },
        });
        for (const { port, forward } of appPorts) {
            ports[port] = await hostPort(workspace, forward);
        }
        await write(workspace, "/tmp/server.py", server);
        for (const [host, port] of [
            ["127.0.0.1", 5001],
            ["::1", 8050],
            ["127.0.0.1", 8501],
        ]) {
            await start(workspace, `server-${port}`, `exec python3 /tmp/server.py ${host} ${port}`);
        }
        await until(
            "all listen",
            20,
            async () => !(await Promise.all([5001, 8050, 8501].map((port) => say(port, "x")))).includes(""),
        );
    });
    afterAll(removeAll);

    /** Sends, says that this was all, and returns what came until the other side had finished. */
    function say(port: number, what: string | Buffer): Promise<string> {
        const socket = connect({ host: "127.0.0.1", port: ports[port] ?? 0, allowHalfOpen: true });
        socket.on("error", () => socket.destroy());
        socket.end(what);
        return text(socket).catch(() => "");
    }

    it("answers for nobody with a page that says so, and hangs up on what is no HTTP", async () => {
        const answer = await fetch(`http://127.0.0.1:${ports[7860]}/some/page`);
        expect(answer.status).toBe(502);
        expect(await answer.text()).toBe("502 Bad Gateway: nothing listens on port 7860 in the workspace.\n");
        expect(await say(7860, "\x16\x03\x01 no HTTP")).toBe("");
        const head = await say(7860, "HEAD / HTTP/1.1\r\n\r\n");
        expect(head.split("\r\n\r\n")).toEqual([expect.stringContaining("502"), ""]);
    });

    it("reaches what listens on 127.0.0.1, on ::1, and on the port without the stack's offset", async () => {
        expect(await say(5001, "four")).toBe("4 bytes on 5001");
        expect(await say(8050, "four")).toBe("4 bytes on 8050");
        expect(await say(8501, "four")).toBe("4 bytes on 8501");
        await start(workspace, "server-18501", "exec python3 /tmp/server.py 127.0.0.1 18501");
        await until("the offset's own", 10, async () => (await say(8501, "four")) === "4 bytes on 18501");
    });

    it("carries much, many at once, and what takes its time", async () => {
        const slow = say(5001, "slow");
        const many = Array.from({ length: 300 }, (_, n) => say(5001, "x".repeat(n + 5)));
        expect(await Promise.all(many)).toEqual(
            Array.from({ length: 300 }, (_, n) => `${n + 5} bytes on 5001`),
        );
        expect(await say(5001, Buffer.alloc(50_000_000))).toBe("50000000 bytes on 5001");
        expect(await slow).toBe("4 bytes on 5001");
    }, 30_000);

    it("keeps a client that has said all and waits, whatever Python's collector takes away", async () => {
        await write(workspace, "/tmp/collected.py", collected);
        expect(await run(workspace, ["python3", "/tmp/collected.py"])).toBe("4 bytes on 5001");
    }, 30_000);

    it("ends a connection for the one side when the other one breaks it off", async () => {
        const wait =
            "import socket; s = socket.create_server(('127.0.0.1', 8000)); c, _ = s.accept(); c.recv(9); c.close()";
        await start(workspace, "breaks", `exec python3 -c "${wait}"`);
        await until("it listens", 10, async () => {
            const { output } = await exec(workspace, ["cat", "/proc/net/tcp"]);
            return output.includes(":1F40 00000000:0000 0A");
        });
        const socket = connect(ports[8000] ?? 0, "127.0.0.1");
        socket.write("more than nine bytes, so that closing resets");
        await new Promise((resolve) => socket.on("error", resolve).on("close", resolve).resume());
    });

    it("tells programs the port that the user's machine has", async () => {
        const environment = await run(workspace, ["bash", "-lc", "env"], "carbon");
        const named = environment.split("\n").filter((line) => /_PORT=|^PORT=/.test(line));
        expect(named.sort()).toEqual([
            "FLASK_RUN_PORT=5001",
            "MLFLOW_PORT=5001",
            "STREAMLIT_SERVER_PORT=18501",
        ]);
    });

    it("is ill when it no longer listens, and silent when all is well", async () => {
        expect(await logs(workspace)).not.toContain("apps:");
        await run(workspace, ["s6-svc", "-d", "/run/carbon/service/apps"]);
        await until("ill", 10, async () => {
            const { output } = await exec(workspace, ["carbon-health"]);
            return output.includes("apps is ill: nothing listens on port 61000");
        });
    });
});

const image = computeImage();
const { toolsets } = readImageJson(image);

describe.runIf(["apps", "notebooks", "codeServer", "tensorflow"].every((name) => toolsets.includes(name)))(
    "programs with a page of their own",
    () => {
        const programs = {
            gradio: { port: 7860, forward: 61000, command: "exec python -u gradio_app.py" },
            streamlit: { port: 8501, forward: 61001, command: "exec streamlit run streamlit_app.py" },
            mlflow: { port: 5001, forward: 61002, command: "exec mlflow ui" },
            tensorboard: { port: 6006, forward: 61003, command: "exec tensorboard --logdir runs" },
            uvicorn: { port: 8000, forward: 61004, command: "exec uvicorn fastapi_app:app" },
        };
        let container: Docker.Container;
        let browser: Browser;
        const address: Record<string, string> = {};

        beforeAll(async () => {
            browser = await launchBrowser();
            const appPorts = Object.values(programs).map(({ port, forward }) => ({
                port,
                published: port,
                forward,
            }));
            container = await startHealthy({
                image,
                role: "workspace",
                ports: [6900, 8888, 9999, ...appPorts.map(({ forward }) => forward)],
                stack: {
                    appPorts,
                    services: ["spark-master"],
                    ports: { novnc: 16900, codeServer: 19999, sparkUi: 18081, sparkHistory: 28081 },
                },
            });
            for (const [name, { forward }] of Object.entries(programs)) {
                address[name] = `http://127.0.0.1:${await hostPort(container, forward)}`;
            }
            address.jupyter = `http://127.0.0.1:${await hostPort(container, 8888)}`;
            address.codeServer = `http://127.0.0.1:${await hostPort(container, 9999)}`;
            await listenForNames();
            await write(
                container,
                "/workspace/gradio_app.py",
                `import gradio
gradio.Interface(lambda name: f"Hello {name}", "text", "text", flagging_mode="never").launch()`,
            );
            await write(
                container,
                "/workspace/streamlit_app.py",
                `import streamlit
streamlit.title("harvest")
streamlit.write("answer", 7 * int(streamlit.text_input("number", "6")))`,
            );
            await write(
                container,
                "/workspace/fastapi_app.py",
                `import fastapi
app = fastapi.FastAPI()
app.get("/")(lambda: {"answer": 42})`,
            );
            for (const [name, { command }] of Object.entries(programs)) {
                await start(container, name, command);
            }
            for (const name of Object.keys(programs)) {
                await until(`${name} answers`, 120, async () => {
                    const answer = await fetch(address[name] ?? "").catch(() => undefined);
                    return answer !== undefined && answer.status < 500;
                });
            }
        }, 300_000);
        afterAll(async () => {
            await browser?.close();
            await removeAll();
        });

        /** A name server that knows no name, and writes down which ones it is asked for. */
        async function listenForNames(): Promise<void> {
            const listen = `
import socket
asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asked.bind(("127.0.0.1", 53))
while True:
    question, client = asked.recvfrom(4096)
    name, rest = [], question[12:]
    while rest[0]:
        name.append(rest[1:rest[0] + 1].decode()); rest = rest[rest[0] + 1:]
    with open("/tmp/names", "a") as names:
        print(".".join(name), file=names)
    asked.sendto(question[:2] + b"\\x81\\x83" + question[4:6] + bytes(6) + question[12:], client)`;
            await run(container, [
                "bash",
                "-c",
                "echo nameserver 127.0.0.1 > /etc/resolv.conf; touch /tmp/names",
            ]);
            await run(container, [
                "bash",
                "-c",
                `exec setsid python3 -c '${listen}' > /dev/null 2>&1 < /dev/null &`,
            ]);
            await until("it listens", 10, async () => {
                await exec(container, ["getent", "hosts", "probe.test"]);
                return (await namesAskedFor()).includes("probe.test");
            });
        }

        /** Names outside of the container that its programs have looked up. */
        async function namesAskedFor(): Promise<string[]> {
            const names = await run(container, ["cat", "/tmp/names"]);
            return [...new Set(names.split("\n"))];
        }

        it.each(Object.entries(programs))(
            "%s prints an address that opens on the user's machine",
            async (name, { port }) => {
                const said = await run(container, ["cat", `/tmp/${name}.log`]);
                const printed = said.match(/http:\/\/[^\s/]+/g) ?? [];
                expect(printed.map((url) => url.replace("localhost", "127.0.0.1"))).toContain(
                    `http://127.0.0.1:${port}`,
                );
                // Streamlit would also print addresses that are nobody's, and ask for an e-mail address.
                expect(said).not.toMatch(/Network URL|External URL|Email/);
                expect((await fetch(`${address[name]}/`)).status).toBe(200);
            },
        );

        const proxies = { Jupyter: "jupyter", "code-server": "codeServer" };

        /** Shows what a proxy hands on to a browser that is logged in to Jupyter or code-server. */
        async function showProxied(
            proxy: string,
            path: string,
            look: (page: Page) => Promise<void>,
        ): Promise<void> {
            const page = await browser.newPage();
            if (proxy === "jupyter") {
                await page.goto(`${address.jupyter}/login?token=${secrets.jupyter}`);
            } else {
                // Its editor would take the machine's time while the page loads.
                await page.request.post(`${address.codeServer}/login`, {
                    form: { password: secrets["code-server"] },
                    maxRedirects: 0,
                });
            }
            await page.goto(`${address[proxy]}${path}`);
            await look(page);
            await page.close();
        }

        async function greet(page: Page): Promise<void> {
            await page.getByLabel("name").fill("Mac");
            await page.getByRole("button", { name: "Submit" }).click();
            await expect
                .poll(() => page.getByLabel("output").inputValue(), { timeout: 20_000 })
                .toBe("Hello Mac");
        }

        it("Gradio works on its own port and behind both proxies", async () => {
            const page = await browser.newPage();
            await page.goto(address.gradio ?? "");
            await greet(page);
            for (const proxy of Object.values(proxies)) {
                await showProxied(proxy, "/proxy/7860/", greet);
            }
        }, 90_000);

        it("Streamlit works on its own port and behind both proxies", async () => {
            const page = await browser.newPage();
            await page.goto(address.streamlit ?? "");
            await page.getByText("answer 42").waitFor({ timeout: 90_000 });
            for (const proxy of Object.values(proxies)) {
                await showProxied(proxy, "/proxy/8501/", (proxied) =>
                    proxied.getByText("answer 42").waitFor({ timeout: 90_000 }),
                );
            }
        }, 300_000);

        it.each([
            ["mlflow", "/proxy/5001/", "Experiments"],
            ["tensorboard", "/proxy/6006/", "TensorBoard"],
        ])(
            "%s shows its page behind both proxies",
            async (_, path, shown) => {
                for (const proxy of Object.values(proxies)) {
                    await showProxied(proxy, path, (page) =>
                        page.getByText(shown).first().waitFor({ timeout: 40_000 }),
                    );
                }
            },
            90_000,
        );

        it("has cards in the launcher for what is there", async () => {
            const answer = await fetch(
                `${address.jupyter}/server-proxy/servers-info?token=${secrets.jupyter}`,
            );
            const { server_processes } = (await answer.json()) as {
                server_processes: { name: string; launcher_entry: { title: string; icon_url: string } }[];
            };
            const cards = server_processes.map(({ launcher_entry }) => launcher_entry);
            expect(cards.map(({ title }) => title)).toEqual([
                "Desktop",
                "VS Code",
                "Spark",
                "Spark history",
                "TensorBoard",
                "MLflow",
            ]);
            for (const { title, icon_url } of cards) {
                const icon = await fetch(`${address.jupyter}${icon_url}`);
                expect([title, await icon.text()]).toEqual([
                    title,
                    expect.stringMatching(/^<svg [\s\S]*<\/svg>/),
                ]);
            }
            const page = await fetch(`${address.jupyter}/mlflow/?token=${secrets.jupyter}`);
            expect([page.status, await page.text()]).toEqual([
                200,
                expect.stringContaining("<title>MLflow</title>"),
            ]);
        }, 100_000);

        it("TensorBoard's frame and Dask's link in a notebook come by Jupyter's own address", async () => {
            const kernel = await fetch(`${address.jupyter}/api/kernels`, {
                method: "POST",
                headers: { Authorization: `token ${secrets.jupyter}` },
                body: JSON.stringify({ name: "python3" }),
            });
            expect(kernel.status).toBe(201);
            const { id } = (await kernel.json()) as { id: string };
            // Root may not read it.
            const read = `tr '\\0' '\\n' < "/proc/$(pgrep -of kernel-${id})/environ"`;
            const told = await run(container, ["bash", "-c", read], "carbon");
            expect(told.split("\n")).toEqual(
                expect.arrayContaining([
                    "TENSORBOARD_PROXY_URL=/proxy/%PORT%/",
                    "DASK_DISTRIBUTED__DASHBOARD__LINK=/proxy/{port}/status",
                ]),
            );
            const link =
                "from distributed import LocalCluster; print(LocalCluster(n_workers=0, processes=False).dashboard_link)";
            const printed = await run(
                container,
                [
                    "bash",
                    "-c",
                    `cd /tmp; DASK_DISTRIBUTED__DASHBOARD__LINK=/proxy/{port}/status /opt/carbon/venv/bin/python -c '${link}'`,
                ],
                "carbon",
            );
            expect(printed).toMatch(/^\/proxy\/\d+\/status$/);
        }, 60_000);

        it("a notebook shows Gradio, MLflow, TensorBoard and Streamlit in a frame", async () => {
            for (const name of ["gradio", "streamlit", "mlflow", "tensorboard"]) {
                const { headers } = await fetch(`${address[name]}/`);
                expect([name, headers.get("x-frame-options")]).toEqual([name, null]);
                expect([name, headers.get("content-security-policy") ?? ""]).toEqual([
                    name,
                    expect.not.stringContaining("frame-ancestors"),
                ]);
            }
        });

        it("none of them, and no other program of the image, looks for anybody outside", async () => {
            const others = [
                'python -c \'import mlflow; mlflow.set_tracking_uri("sqlite:////tmp/m.db"); mlflow.set_experiment("a"); mlflow.log_metric("a", 1)\'',
                "python -c 'import pandas, pygwalker; pygwalker.to_html(pandas.DataFrame({\"a\": [1]}))'",
                "npm --version; deno eval 1; go version; gh --version; claude --version; az version",
            ];
            for (const command of others) {
                await exec(
                    container,
                    ["bash", "-lc", `cd /tmp; timeout 60 bash -c ${JSON.stringify(command)}`],
                    "carbon",
                );
            }
            // az asks its makers for its newest version, and knows no way not to.
            const passed = ["probe.test", "azcliprod.blob.core.windows.net"];
            expect((await namesAskedFor()).filter((name) => !passed.includes(name))).toEqual([]);
            // That it would be noticed.
            await exec(
                container,
                [
                    "bash",
                    "-lc",
                    "cd /tmp; GRADIO_ANALYTICS_ENABLED=True HF_HUB_DISABLE_TELEMETRY= DISABLE_TELEMETRY= DO_NOT_TRACK= timeout 30 python -c 'import gradio, time; gradio.Blocks(); time.sleep(5)'",
                ],
                "carbon",
            );
            expect((await namesAskedFor()).length).toBeGreaterThan(1);
        }, 180_000);

        // After the look outside: the editor asks Open VSX for an extension.
        /** Where a card leads to. */
        async function target(path: string, host = "127.0.0.1", token: string = secrets.jupyter) {
            // fetch sends no other Host.
            const answer = await run(container, [
                ...["curl", "-s", "-D-", "-o", "/dev/null", "-H", `Host: ${host}:8888`],
                ...["-H", `Authorization: token ${token}`, `http://127.0.0.1:8888${path}`],
            ]);
            return /^location: (.*?)\r?$/im.exec(answer)?.[1];
        }

        it("a card leads to the page's port on the host that the browser knows, logged in", async () => {
            expect(await target("/sparkUi/")).toBe("http://127.0.0.1:18081/");
            expect(await target("/sparkHistory/", "localhost")).toBe("http://localhost:28081/");
            expect(await target("/codeServer/", "[::1]")).toBe(
                `http://[::1]:19999/login#password=${secrets["code-server"]}`,
            );
            expect(await target("/novnc/")).toBe(`http://127.0.0.1:16900/#password=${secrets.vnc}`);
            expect(await target("/novnc/", "127.0.0.1", "wrong")).not.toContain("16900");
            const log = await logs(container);
            for (const secret of [secrets.vnc, secrets["code-server"]]) {
                expect(log).not.toContain(secret);
            }
            const here = async (path: string, port: string, inside: number) =>
                String(await target(path)).replace(port, String(await hostPort(container, inside)));
            const desktop = await browser.newPage();
            await desktop.goto(await here("/novnc/", "16900", 6900));
            await desktop.locator("html.noVNC_connected").waitFor({ timeout: 60_000 });
            const editor = await browser.newPage();
            await editor.goto(await here("/codeServer/", "19999", 9999));
            await editor.locator(".monaco-workbench").waitFor({ timeout: 60_000 });
        }, 150_000);
    },
);
