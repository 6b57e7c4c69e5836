import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { hostPort, removeAll, secrets, startHealthy } from "../image/base-container";
import { baseImage, readImageJson } from "../image/base-image";
import { type ComputeWorkspace, computeImage, startWorkspace } from "../image/compute-image";
import { takePicture } from "../image/jupyter";
import { launchBrowser } from "./desktop-clients";

// Login pages say where the password is, and a link with it in its fragment logs in and leaves no trace of it.

const base = baseImage();
const compute = computeImage();
const { toolsets } = readImageJson(compute);

let browser: Browser;

beforeAll(async () => {
    browser = await launchBrowser();
});
afterAll(async () => {
    await browser.close();
    await removeAll();
});

/** One of the pages that log in, and what it is opened with. */
interface Login {
    name: string;
    address: string;
    /** Path and query, without the fragment. */
    path: string;
    field: "token" | "password";
    secret: string;
    /** What can be seen only by who has logged in. */
    inside: string;
    /** What the page says. */
    says: string[];
}

/** Follows a link, and returns every address that the browser had on the way and what it sent as a referrer. */
async function follow(
    context: BrowserContext,
    link: string,
    inside: string,
): Promise<{ page: Page; seen: string[] }> {
    const page = await context.newPage();
    const seen: string[] = [];
    page.on("request", (request) => seen.push(request.url(), request.headers().referer ?? ""));
    // Chromium drops what it is loading when this machine's networks change, as they do when another container starts.
    await vi.waitFor(
        async () => {
            await page.goto(link);
            await page.locator(inside).first().waitFor({ state: "attached", timeout: 60_000 });
        },
        { timeout: 180_000 },
    );
    return { page, seen };
}

function itLogsIn(login: () => Login): void {
    const link = () => `${login().address}${login().path}#${login().field}=${login().secret}`;
    const context = () =>
        browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1280, height: 800 } });

    it("says which command shows the password, of this stack", async () => {
        const { address, path, says, name } = login();
        const page = await (await context()).newPage();
        await page.goto(`${address}${path}`);
        const text = await page.locator("body").textContent();
        for (const said of says) {
            expect(text).toContain(said);
        }
        await takePicture(page, `login-${name}`);
        await page.context().close();
    });

    it("logs in by a link, and again, and keeps nothing of the password in addresses", async () => {
        const { inside, secret } = login();
        const used = await context();
        for (const time of ["first", "second"]) {
            const { page, seen } = await follow(used, link(), inside);
            expect(page.url(), time).not.toContain(secret);
            // What the server was asked for; the browser's own bookkeeping has fragments.
            expect(seen.map((url) => url.split("#")[0]).join("\n")).not.toContain(secret);
            await page.goBack().catch(() => undefined);
            expect(page.url(), `back, after the ${time}`).not.toContain(secret);
            await page.close();
        }
        await used.close();
    });

    it("asks again where a link's password is wrong", async () => {
        const { address, path, field } = login();
        const page = await (await context()).newPage();
        const answered = page.waitForResponse((response) => response.request().method() === "POST");
        await page.goto(`${address}${path}#${field}=wrong`);
        await answered;
        await page.locator("input[name=password]").waitFor();
        expect(page.url()).not.toContain("wrong");
        await page.context().close();
    });
}

describe.each([false, true])("with TLS %s", (tls) => {
    let workspace: ComputeWorkspace;
    const says = (service: string) => [
        "./carbon credentials --stack test",
        `./carbon open ${service} --stack test`,
    ];

    beforeAll(async () => {
        workspace = await startWorkspace({ image: compute, stack: { tls } });
    });

    describe("JupyterLab", () => {
        itLogsIn(() => ({
            name: "jupyter",
            address: workspace.address,
            path: "/login?next=%2Flab",
            field: "token",
            secret: secrets.jupyter,
            inside: ".jp-LabShell",
            says: says("jupyter"),
        }));
    });

    describe.runIf(toolsets.includes("codeServer"))("code-server", () => {
        itLogsIn(() => ({
            name: "code-server",
            address: workspace.codeServer,
            path: "/login",
            field: "password",
            secret: secrets["code-server"],
            inside: ".monaco-workbench",
            says: says("codeServer"),
        }));
    });
});

describe.runIf(readImageJson(base).toolsets.includes("desktop"))("the desktop with TLS", () => {
    let address: string;

    beforeAll(async () => {
        const container = await startHealthy({
            image: base,
            role: "workspace",
            ports: [6900],
            stack: { tls: true },
        });
        address = `https://127.0.0.1:${await hostPort(container, 6900)}`;
    });

    itLogsIn(() => ({
        name: "desktop",
        address,
        path: "/login",
        field: "password",
        secret: secrets.desktop,
        inside: "html.noVNC_connected",
        says: ["./carbon credentials --stack test", "./carbon open novnc --stack test"],
    }));
});
