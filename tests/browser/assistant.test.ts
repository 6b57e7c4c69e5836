import type Docker from "dockerode";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { logs, makeNetwork, remove, removeAll, run, secrets } from "../image/base-container";
import { readImageJson } from "../image/base-image";
import { computeImage, startWorkspace } from "../image/compute-image";
import { type Jupyter, openPage, takePicture } from "../image/jupyter";
import { llmEnv, putModel, startLlm } from "../image/llm-server";
import { launchBrowser } from "./desktop-clients";

const image = computeImage();
const { toolsets } = readImageJson(image);

describe.runIf(toolsets.includes("notebooks") && toolsets.includes("llm"))(
    "the chat panel's assistant",
    () => {
        let browser: Browser;
        let network: Docker.Network;

        beforeAll(async () => {
            browser = await launchBrowser();
            network = await makeNetwork();
        });
        afterAll(async () => {
            await browser?.close();
            await removeAll();
        });

        /** A workspace as the suite starts it beside the service llm. */
        function startBesideLlm(): Promise<Jupyter> {
            return startWorkspace({
                image,
                stack: { services: ["llm"] },
                env: llmEnv(),
                host: { network, name: "workspace" },
            });
        }

        /** Opens a new chat in JupyterLab, and does not wait until its panel knows of the assistant. */
        async function openChat(jupyter: Jupyter, errors: string[]): Promise<Page> {
            const page = await openPage(browser, jupyter, "/lab", errors);
            await page.locator(".jp-LauncherCard", { hasText: "Chat" }).click({ timeout: 60_000 });
            return page;
        }

        /** Sends a message, and waits for the answer's end. */
        async function ask(page: Page, question: string): Promise<string> {
            const messages = page.locator(".jp-chat-message");
            const input = page.locator(".jp-chat-input-container textarea").first();
            await input.fill(question, { timeout: 60_000 });
            const before = await messages.count();
            await input.press("Enter");
            const answer = messages.nth(before + 1).locator(".jp-chat-rendered-message");
            // A model's answer begins as an empty message, which the panel may show before it shows who writes.
            await answer.filter({ hasText: /\S/ }).waitFor({ timeout: 120_000 });
            await page.locator(".jp-chat-writers", { hasText: "Assistant" }).waitFor({ state: "hidden" });
            return (await answer.textContent()) ?? "";
        }

        it("says what to do where the service llm is off, without an error on the page", async () => {
            const errors: string[] = [];
            const page = await openChat(await startWorkspace({ image }), errors);
            expect(await ask(page, "Hello")).toMatch(
                /LLM server is off\. Add llm to the stack's setting services/,
            );
            expect(errors).toEqual([]);
        });

        it("asks the server that the setting llm names instead, with the key of that", async () => {
            const errors: string[] = [];
            const elsewhere = await startLlm({ image, host: { network, name: "elsewhere" } });
            await putModel(elsewhere);
            const workspace = await startWorkspace({
                image,
                env: llmEnv("http://elsewhere:8001/v1"),
                rootFiles: { "/run/carbon/secrets/llm": secrets.llm },
                host: { network, name: "workspace" },
            });
            const answer = await ask(await openChat(workspace, errors), "Hello");
            expect(answer.length).toBeGreaterThan(0);
            expect(answer).not.toContain("LLM server");
            const shell =
                'curl --silent --fail --header "Authorization: Bearer $(cat "$OPENAI_API_KEY_FILE")"';
            const models = await run(
                workspace.container,
                ["bash", "-lc", `${shell} "$OPENAI_BASE_URL/models"`],
                "carbon",
            );
            expect(JSON.parse(models).data[0].id).toBe("tiny");
            await remove(workspace.container);
            await remove(elsewhere);
        });

        describe("beside the service llm", () => {
            let workspace: Jupyter;
            let page: Page;
            const errors: string[] = [];

            beforeAll(async () => {
                workspace = await startBesideLlm();
                page = await openChat(workspace, errors);
            });

            it("says that the server does not answer, as long as it does not", async () => {
                expect(await ask(page, "Hello")).toContain("does not answer at http://llm:8001/v1");
            });

            it("passes on what the server says of its missing model", async () => {
                const llm = await startLlm({ image, host: { network, name: "llm" } });
                expect(await ask(page, "Hello")).toMatch(/put a \.gguf file into the volume/);
                await remove(llm);
            });

            it("answers with the server's model, nobody having configured it", async () => {
                await putModel(await startLlm({ image, host: { network, name: "llm" } }));
                const answer = await ask(page, "Hello");
                await takePicture(page, "assistant");
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
                }, secrets.jupyter);
                expect(seen).toContain("Hello");
                expect(seen).not.toContain(secrets.llm);
                expect(await logs(workspace.container)).not.toContain(secrets.llm);
                const everything =
                    "for f in /proc/[0-9]*/cmdline /proc/[0-9]*/environ; do cat $f 2>&1; done; true";
                expect(await run(workspace.container, ["sh", "-c", everything], "carbon")).not.toContain(
                    secrets.llm,
                );
            });
        });
    },
);
