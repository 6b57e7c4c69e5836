import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import type Docker from "dockerode";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
    exec,
    hostPort,
    logs,
    makeNetwork,
    makeVolume,
    remove,
    removeAll,
    run,
    secrets,
    startRole,
    until,
    untilHealthy,
} from "./base-container";
import { readImageJson } from "./base-image";
import { computeImage } from "./compute-image";
import { launchBrowser } from "./desktop-clients";

const image = computeImage();
const { toolsets } = readImageJson(image);
const token = "JupyterTokenJupyterTok24";
const key = "LlmApiKeyLlmApiKeyLlmK24";
/** Where a look at a page leaves its picture. */
const pictures = resolve(__dirname, "../../test-results");

describe.runIf(toolsets.includes("notebooks") && toolsets.includes("llm"))(
    "the chat panel's assistant",
    () => {
        let browser: Browser;
        let network: Docker.Network;

        beforeAll(async () => {
            mkdirSync(pictures, { recursive: true });
            browser = await launchBrowser();
            network = await makeNetwork();
        });
        afterAll(async () => {
            await browser?.close();
            await removeAll();
        });

        /** A workspace as the suite starts it beside the service llm, or without that service. */
        async function startWorkspace(withLlm: boolean): Promise<Docker.Container> {
            const container = await startRole({
                image,
                role: "workspace",
                secrets: {
                    ...secrets,
                    jupyter: token,
                    "code-server": "CodeServerPasswordCode24",
                    ...(withLlm && { llm: key }),
                },
                env: withLlm ? { CARBON_LLM_URL: "http://llm:8001/v1" } : {},
                ports: [8888],
                host: { network, name: withLlm ? "workspace" : "workspace-alone" },
            });
            await untilHealthy(container, 120);
            return container;
        }

        /** Starts the service llm, with the tests' own model in its volume if `model`. */
        async function startLlm(model: boolean): Promise<Docker.Container> {
            const container = await startRole({
                image,
                role: "llm",
                secrets: { llm: key },
                binds: [
                    `${await makeVolume()}:/models`,
                    `${join(__dirname, "tiny_gguf.py")}:/tiny_gguf.py:ro`,
                ],
                host: { network, name: "llm" },
            });
            if (model) {
                await run(container, ["/opt/carbon/venv/bin/python", "/tiny_gguf.py", "/models/tiny.gguf"]);
            }
            await untilHealthy(container, 120);
            // Healthy is also who waits for a model.
            const address = "http://127.0.0.1:8001/v1/models";
            const ask = `curl -s -o /dev/null -w '%{http_code}' -H 'Authorization: Bearer ${key}' ${address}`;
            await until("the model is served", 60, async () => {
                const { output } = await exec(container, ["sh", "-c", ask]);
                return !model || output === "200";
            });
            return container;
        }

        /** Opens a new chat in JupyterLab. What fails on the page goes to `errors`, and so does what asks another host. */
        async function openChat(workspace: Docker.Container, errors: string[]): Promise<Page> {
            const address = `http://127.0.0.1:${await hostPort(workspace, 8888)}`;
            const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
            page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
            page.on("pageerror", (error) => errors.push(String(error)));
            page.on("request", (request) => {
                const url = new URL(request.url());
                if (/^(http|ws)s?:$/.test(url.protocol) && url.host !== new URL(address).host) {
                    errors.push(request.url());
                }
            });
            await page.goto(`${address}/lab?token=${token}`);
            await page.locator(".jp-LauncherCard", { hasText: "Chat" }).click({ timeout: 60_000 });
            await page
                .locator(".jp-chat-input-container", { hasText: "Assistant" })
                .waitFor({ timeout: 60_000 });
            // The panel addresses messages to the assistant a moment after it shows its name.
            await page.waitForTimeout(5_000);
            return page;
        }

        /** Sends a message, and waits for the answer's end. */
        async function ask(page: Page, question: string): Promise<string> {
            const messages = page.locator(".jp-chat-message");
            const before = await messages.count();
            const input = page.locator(".jp-chat-input-container textarea").first();
            await input.fill(question);
            await input.press("Enter");
            await messages.nth(before + 1).waitFor({ timeout: 120_000 });
            await page.locator(".jp-chat-writers", { hasText: "Assistant" }).waitFor({ state: "hidden" });
            const answer = messages.nth(before + 1).locator(".jp-chat-rendered-message");
            return (await answer.textContent()) ?? "";
        }

        it("says what to do where the service llm is off, without an error on the page", async () => {
            const errors: string[] = [];
            const page = await openChat(await startWorkspace(false), errors);
            expect(await ask(page, "Hello")).toMatch(
                /LLM server is off\. Add llm to the stack's setting services/,
            );
            expect(errors).toEqual([]);
        });

        describe("beside the service llm", () => {
            let workspace: Docker.Container;
            let page: Page;
            const errors: string[] = [];

            beforeAll(async () => {
                workspace = await startWorkspace(true);
                page = await openChat(workspace, errors);
            });

            it("says that the server does not answer, as long as it does not", async () => {
                expect(await ask(page, "Hello")).toContain("does not answer at http://llm:8001/v1");
            });

            it("passes on what the server says of its missing model", async () => {
                const llm = await startLlm(false);
                expect(await ask(page, "Hello")).toMatch(/put a \.gguf file into the volume/);
                await remove(llm);
            });

            it("answers with the server's model, nobody having configured it", async () => {
                await startLlm(true);
                const answer = await ask(page, "Hello");
                await page.screenshot({ path: join(pictures, "assistant.png") });
                // The tests' model talks nonsense, and never says a word of the assistant's own messages.
                expect(answer.length).toBeGreaterThan(0);
                expect(answer).not.toContain("LLM server");
                // A container that starts changes the network of the machine that the browser runs on.
                expect(errors.filter((error) => !error.includes("ERR_NETWORK_CHANGED"))).toEqual([]);
            });

            it("keeps the key from the page, the chat's file, the log and the environment", async () => {
                const seen = await page.evaluate(async (given) => {
                    const chat = await fetch(`/api/contents/untitled.chat?content=1&token=${given}`);
                    return document.documentElement.outerHTML + (await chat.text());
                }, token);
                expect(seen).toContain("Hello");
                expect(seen).not.toContain(key);
                expect(await logs(workspace)).not.toContain(key);
                const everything =
                    "for f in /proc/[0-9]*/cmdline /proc/[0-9]*/environ; do cat $f 2>&1; done; true";
                expect(await run(workspace, ["sh", "-c", everything], "carbon")).not.toContain(key);
            });
        });
    },
);
