import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { request as httpsRequest } from "node:https";
import type Docker from "dockerode";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import {
    exec,
    hostPort,
    logs,
    removeAll,
    run,
    secrets,
    startHealthy,
    startRole,
    until,
    untilHealthy,
} from "../image/base-container";
import { baseImage, readImageJson } from "../image/base-image";
import { type ComputeWorkspace, computeImage, startWorkspace } from "../image/compute-image";
import { putModel, startLlm } from "../image/llm-server";
import { launchBrowser, look } from "./desktop-clients";

// What web pages of strangers, and strangers on the network or in the container, may do at the workspace's doors.

const base = baseImage();
const compute = computeImage();
const hasDesktop = readImageJson(base).toolsets.includes("desktop");
const { toolsets } = readImageJson(compute);
const stranger = "https://example.com";

afterAll(removeAll);

interface Answer {
    status: number;
    headers: IncomingHttpHeaders;
    /** Of a WebSocket: what the server sent first; else the body. */
    body: string;
}

/** One request, with whatever headers a browser would send; any certificate will do. */
function ask(
    url: string,
    headers: Record<string, string> = {},
    form?: Record<string, string>,
): Promise<Answer> {
    const send = url.startsWith("https") ? httpsRequest : httpRequest;
    const body = form && new URLSearchParams(form).toString();
    return new Promise((resolve, reject) => {
        const request = send(url, {
            method: form ? "POST" : "GET",
            rejectUnauthorized: false,
            agent: false,
            headers: { ...(body && { "Content-Type": "application/x-www-form-urlencoded" }), ...headers },
        });
        request.on("error", reject);
        request.on("response", (response) => {
            let text = "";
            response.on("data", (data) => {
                text += data;
            });
            response.on("error", reject);
            response.on("end", () =>
                resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }),
            );
        });
        request.on("upgrade", (response, socket, head) => {
            const answer = (first: Buffer) => {
                socket.destroy();
                resolve({ status: 101, headers: response.headers, body: first.toString("latin1") });
            };
            socket.on("error", reject);
            if (head.length > 0 || !url.endsWith("/websockify")) {
                answer(head);
            } else {
                socket.once("data", answer);
            }
        });
        request.end(body);
    });
}

/** Opens a WebSocket as a browser does for a page of `origin`; null: without saying whose. */
function openSocket(url: string, origin: string | null, headers: Record<string, string> = {}) {
    return ask(url, {
        Connection: "Upgrade",
        Upgrade: "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        ...(origin !== null && { Origin: origin }),
        ...headers,
    });
}

/** The flags of the cookies that an answer sets, by the cookies' names. */
function cookieFlags({ headers }: Answer): Record<string, string[]> {
    const cookies = (headers["set-cookie"] ?? []).map((cookie) => cookie.split("; "));
    return Object.fromEntries(
        cookies.map(([value, ...flags]) => [(value as string).split("=")[0], flags.sort()]),
    );
}

/** What a browser sends back of the cookies that an answer sets. */
function cookieHeader({ headers }: Answer): { Cookie: string } {
    return { Cookie: (headers["set-cookie"] ?? []).map((cookie) => cookie.split(";")[0]).join("; ") };
}

const greeting = /RFB 003\.008\n$/;

async function startDesktop(tls: "on" | "off"): Promise<{ container: Docker.Container; address: string }> {
    const container = await startHealthy({
        image: base,
        role: "workspace",
        ports: [6900],
        stack: { tls: tls === "on", tlsNames: ["desk.example.org"] },
    });
    const scheme = tls === "on" ? "https" : "http";
    return { container, address: `${scheme}://127.0.0.1:${await hostPort(container, 6900)}` };
}

describe.runIf(hasDesktop)("noVNC on loopback", () => {
    let container: Docker.Container;
    let address: string;
    let socket: string;

    beforeAll(async () => {
        ({ container, address } = await startDesktop("off"));
        socket = `${address}/websockify`;
    });

    it.each([
        ["its own page", () => address],
        ["a program that is no page", () => null],
    ])("opens its WebSocket to %s", async (_, origin) => {
        const { status, body } = await openSocket(socket, origin());
        expect(status).toBe(101);
        expect(body).toMatch(greeting);
    });

    it.each([
        ["of a stranger", stranger],
        ["without an origin, such as a file's", "null"],
        ["of another port of the same machine", "http://127.0.0.1:1"],
    ])("refuses its WebSocket to a page %s", async (_, origin) => {
        expect((await openSocket(socket, origin)).status).toBe(403);
    });

    it("answers by no name that a stranger's DNS could point here", async () => {
        const by = async (host: string) => [
            (await ask(`${address}/vnc.html`, { Host: host })).status,
            (await openSocket(socket, `http://${host}`, { Host: host })).status,
        ];
        expect(await by("rebound.example.com:6900")).toEqual([421, 421]);
        expect(await by("127.0.0.1.example.com")).toEqual([421, 421]);
        const own = (await container.inspect()).Config.Hostname;
        for (const host of ["localhost:6900", "carbon.localhost", "[::1]:6900", own, "desk.example.org"]) {
            expect(await by(host), host).toEqual([200, 101]);
        }
    });

    it("is shown in no frame", async () => {
        for (const path of ["/", "/vnc.html", "/missing"]) {
            const { headers } = await ask(`${address}${path}`);
            expect(headers).toMatchObject({
                "x-frame-options": "DENY",
                "content-security-policy": "frame-ancestors 'none'",
                "x-content-type-options": "nosniff",
            });
        }
    });

    it("logs nothing of a request that could steer a terminal", async () => {
        // A control sequence in one byte, in what the server would say of it.
        await openSocket(socket, address, { "Sec-WebSocket-Version": "\x9b31m" });
        expect(await logs(container)).not.toContain("\x9b");
    });

    it("leaves the X display to carbon, whose every way in has its key", async () => {
        for (const user of ["nobody", "www-data"]) {
            const { code, output } = await exec(container, ["xset", "q"], user);
            expect([code, output], user).toEqual([1, expect.stringContaining("Authorization required")]);
        }
        expect(await run(container, ["xset", "q"], "carbon")).toContain("Keyboard Control");
        const asked = ["env", "-i", "HOME=/home/carbon", "DISPLAY=:1", "xset", "q"];
        expect(await run(container, asked, "carbon")).toContain("Keyboard Control");
    });

    it("makes another key with each X server", async () => {
        const key = () => run(container, ["xauth", "list"], "carbon");
        const before = await key();
        expect(before.split("\n")).toHaveLength(1);
        await run(container, ["pkill", "-KILL", "-x", "Xtigervnc"]);
        await until("another key", 20, async () => (await key()) !== before);
        await untilHealthy(container, 30);
        expect((await key()).split("\n")).toHaveLength(1);
    });
});

describe.runIf(hasDesktop)("noVNC on a network", () => {
    const login = { user: "carbon", password: secrets.desktop };
    let container: Docker.Container;
    let address: string;
    let socket: string;

    beforeAll(async () => {
        ({ container, address } = await startDesktop("on"));
        socket = `${address}/websockify`;
    });

    it("shows nothing but a login to those who have not logged in", async () => {
        for (const path of ["/", "/vnc.html"]) {
            const { status, headers } = await ask(`${address}${path}`);
            expect([status, headers.location]).toEqual([303, "/login"]);
        }
        for (const path of ["/defaults.json", "/app/ui.js"]) {
            expect((await ask(`${address}${path}`)).status).toBe(401);
        }
        expect((await ask(`${address}/login`)).body).toContain("./carbon credentials");
        // websockify itself makes a WebSocket of any path.
        for (const path of ["/websockify", "/login", "/login?x", "/"]) {
            expect((await openSocket(`${address}${path}`, address)).status, path).toBe(401);
            expect((await openSocket(`${address}${path}`, null)).status, path).toBe(401);
        }
        const invented = { Cookie: "__Host-carbon-desktop-=guessed" };
        expect((await openSocket(socket, address, invented)).status).toBe(401);
    });

    it("refuses a wrong password, VNC's among them, and too long a form", async () => {
        for (const password of ["wrong", "", secrets.vnc]) {
            const answer = await ask(`${address}/login`, {}, { ...login, password });
            expect(answer.status).toBe(401);
            expect(answer.headers["set-cookie"]).toBeUndefined();
            expect(answer.body).toContain("This is not the password.");
        }
        expect((await ask(`${address}/login`, {}, { ...login, more: "x".repeat(2000) })).status).toBe(413);
        expect((await ask(`${address}/login`, { Origin: stranger }, login)).status).toBe(403);
    });

    it("opens to the password, by a cookie that no script, other site or plain connection gets", async () => {
        const answer = await ask(`${address}/login`, { Origin: address }, login);
        expect([answer.status, answer.headers.location]).toEqual([303, "/"]);
        expect(Object.values(cookieFlags(answer))).toEqual([
            ["HttpOnly", "Path=/", "SameSite=Strict", "Secure"],
        ]);
        const cookie = cookieHeader(answer);
        expect((await ask(`${address}/vnc.html`, cookie)).status).toBe(200);
        expect((await openSocket(socket, address, cookie)).body).toMatch(greeting);
        expect((await openSocket(socket, stranger, cookie)).status).toBe(403);
    });

    it("lets the right password in while others guess", async () => {
        const guesses = Array.from({ length: 15 }, () =>
            ask(`${address}/login`, {}, { ...login, password: "wrong" }),
        );
        expect((await ask(`${address}/login`, {}, login)).status).toBe(303);
        for (const { status } of await Promise.all(guesses)) {
            expect(status).toBe(401);
        }
    });

    it("shows the desktop in a browser after one login", async () => {
        const browser = await launchBrowser();
        try {
            const context = await browser.newContext({
                ignoreHTTPSErrors: true,
                viewport: { width: 1280, height: 800 },
            });
            const page = await context.newPage();
            await page.goto(address);
            await page.locator("input[name=password]").fill(secrets.desktop);
            await page.getByRole("button", { name: "Log in" }).click();
            await page.locator("html.noVNC_connected").waitFor();
            await expect
                .poll(async () => (await look(page, 400, -70, -400, -10)).colours, { timeout: 30_000 })
                .toBeGreaterThan(200);
        } finally {
            await browser.close();
        }
    });

    it("serves encrypted VNC by one server, started once", async () => {
        expect(await logs(container)).not.toContain("already running");
        expect(await run(container, ["pgrep", "--count", "--full", "X0tigervnc"])).toBe("1");
    });

    it("refuses to start without the login's password", async () => {
        const { ssh, vnc } = secrets;
        const refused = await startRole({
            image: base,
            role: "workspace",
            secrets: { ssh, vnc },
            stack: { tls: true },
        });
        expect((await refused.wait()).StatusCode).toBe(1);
        expect(await logs(refused)).toContain("secret /run/carbon/secrets/desktop is missing");
    });
});

describe.each(["off", "on"] as const)("the compute image's pages, with TLS %s", (tls) => {
    const secure = tls === "on" ? ["Secure"] : [];
    let workspace: ComputeWorkspace;

    beforeAll(async () => {
        workspace = await startWorkspace({ image: compute, stack: { tls: tls === "on" } });
    });

    it("JupyterLab's cookies are for its own page", async () => {
        const { address, token } = workspace;
        const answer = await ask(`${address}/lab?token=${token}`);
        const { _xsrf, ...login } = cookieFlags(answer);
        const [flags] = Object.values(login);
        expect(flags).toEqual(expect.arrayContaining(["HttpOnly", "SameSite=Lax", ...secure]));
        // The page's own scripts read this one.
        expect(_xsrf).toEqual(expect.arrayContaining(["SameSite=Lax", ...secure]));
        expect(answer.headers["content-security-policy"]).toContain("frame-ancestors 'self'");
    });

    it("JupyterLab opens its terminals' WebSocket to its own page alone", async () => {
        const { address, token } = workspace;
        const cookie = cookieHeader(await ask(`${address}/lab?token=${token}`));
        const made = await fetchTerminal(address, token);
        const socket = `${address}/terminals/websocket/${made}`;
        expect((await openSocket(socket, address, cookie)).status).toBe(101);
        for (const origin of [stranger, "null"]) {
            expect((await openSocket(socket, origin, cookie)).status).toBe(403);
        }
    });

    async function fetchTerminal(address: string, token: string): Promise<string> {
        const headers = { Authorization: `token ${token}` };
        const { body } = await ask(`${address}/api/terminals`, headers, {});
        return JSON.parse(body).name;
    }

    describe.runIf(toolsets.includes("codeServer"))("code-server", () => {
        const login = { password: secrets["code-server"] };

        it("hides its cookie from scripts, other sites and plain connections", async () => {
            const answer = await ask(`${workspace.codeServer}/login`, {}, login);
            expect(answer.status).toBe(302);
            expect(Object.values(cookieFlags(answer))).toEqual([
                ["HttpOnly", "Path=/", "SameSite=Lax", ...secure],
            ]);
        });

        it("is shown in no other page's frame", async () => {
            const { codeServer } = workspace;
            const cookie = cookieHeader(await ask(`${codeServer}/login`, {}, login));
            for (const answer of [
                await ask(`${codeServer}/login`),
                await ask(`${codeServer}/?folder=/workspace`, cookie),
            ]) {
                expect([answer.status, answer.headers["x-frame-options"]]).toEqual([200, "SAMEORIGIN"]);
            }
        });

        // A browser runs no service worker, which webviews need, behind a certificate that it does not know.
        it.runIf(tls === "off")("shows its own webviews, which are frames", async () => {
            const { codeServer, container } = workspace;
            await run(container, ["sh", "-c", "echo '# Seen' > /workspace/seen.md"], "carbon");
            const browser = await launchBrowser();
            try {
                const page = await browser.newPage();
                await page.goto(`${codeServer}/login?folder=/workspace`);
                await page.locator("input.password").fill(login.password);
                await page.locator("input.submit").click();
                // Chromium drops what it is loading when this machine's networks change; see openNovnc.
                await vi.waitFor(
                    async () => {
                        await page.goto(`${codeServer}/?folder=/workspace`);
                        await page.getByRole("treeitem", { name: "seen.md" }).click({ timeout: 60_000 });
                        await page.locator("a[aria-label*='Preview']").first().click({ timeout: 60_000 });
                        const webview = page.frameLocator("iframe.webview").frameLocator("#active-frame");
                        await webview.getByRole("heading", { name: "Seen" }).waitFor({ timeout: 60_000 });
                    },
                    { timeout: 200_000 },
                );
            } finally {
                await browser.close();
            }
        });

        it("opens its WebSocket to its own page alone", async () => {
            const { codeServer } = workspace;
            const cookie = cookieHeader(await ask(`${codeServer}/login`, {}, login));
            const socket = `${codeServer}/?reconnectionToken=x&reconnection=false&skipWebSocketFrames=false`;
            expect((await openSocket(socket, codeServer, cookie)).status).toBe(101);
            for (const origin of [stranger, "null"]) {
                expect((await openSocket(socket, origin, cookie)).status).not.toBe(101);
            }
        });

        it("leaves the user's own programs behind its proxy alone", async () => {
            const { codeServer, container } = workspace;
            const serve = await container.exec({
                Cmd: [
                    "python3",
                    "-m",
                    "http.server",
                    "8124",
                    "--bind",
                    "127.0.0.1",
                    "--directory",
                    "/etc/skel",
                ],
                User: "carbon",
            });
            await serve.start({ Detach: true });
            const cookie = cookieHeader(await ask(`${codeServer}/login`, {}, login));
            let answer: Answer | undefined;
            await until("the program answers", 20, async () => {
                answer = await ask(`${codeServer}/proxy/8124/`, cookie);
                return answer.status === 200;
            });
            expect(answer?.headers["x-frame-options"]).toBeUndefined();
        });

        it("takes the right password, and carbon-verify is content, whatever strangers have tried", async () => {
            const { codeServer, container } = workspace;
            for (let guess = 0; guess < 15; guess++) {
                const { body } = await ask(`${codeServer}/login`, {}, { password: `wrong${guess}` });
                expect(body).toContain("Incorrect password");
            }
            expect((await ask(`${codeServer}/login`, {}, login)).status).toBe(302);
            const document = await run(container, ["carbon-verify", "--json", "--only", "code-server"]);
            expect(JSON.parse(document).summary).toMatchObject({ pass: 1, fail: 0 });
        });
    });
});

describe.runIf(toolsets.includes("llm"))("the LLM server", () => {
    it("lets no web page read its answers", async () => {
        const llm = await startLlm({ image: compute, ports: [8001] });
        await putModel(llm);
        const models = `http://127.0.0.1:${await hostPort(llm, 8001)}/v1/models`;
        const { status, headers } = await ask(models, {
            Origin: stranger,
            Authorization: `Bearer ${secrets.llm}`,
        });
        expect(status).toBe(200);
        expect(Object.keys(headers).filter((name) => name.startsWith("access-control-"))).toEqual([]);
    });
});
