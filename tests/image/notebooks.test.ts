import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { removeAll, run } from "./base-container";
import { readImageJson } from "./base-image";
import { computeImage, startWorkspace } from "./compute-image";
import { launchBrowser } from "./desktop-clients";
import { executeNotebook, type Jupyter, plainText } from "./jupyter";

const image = computeImage();
const { toolsets } = readImageJson(image);
/** Where a look at a page leaves its picture. */
const pictures = resolve(__dirname, "../../test-results");

describe.runIf(toolsets.includes("notebooks"))("the toolset notebooks", () => {
    let jupyter: Jupyter;

    beforeAll(async () => {
        jupyter = await startWorkspace({ image });
    });
    afterAll(removeAll);

    it.each([
        ["bash", "echo $((6 * 7))", "42"],
        ["typescript", "const answer: number = 6 * 7; console.log(answer)", "42"],
        ["sql", "CREATE TABLE made AS SELECT 6 AS a; SELECT a * 7 AS answer FROM made", "42"],
    ])("runs a cell in the kernel %s", async (kernel, cell, answer) => {
        const [output] = await executeNotebook(jupyter, kernel, [cell]);
        expect(plainText(output)).toContain(answer);
    });

    it("has at least 20 extensions of JupyterLab, each of them enabled and fit for it", async () => {
        const list = await run(
            jupyter.container,
            ["sh", "-c", "/opt/carbon/venv/bin/jupyter labextension list 2>&1"],
            "carbon",
        );
        // biome-ignore lint/suspicious/noControlCharactersInRegex: the colours of a terminal
        const lines = list.replaceAll(/\u001b\[\d+m/g, "").split("\n");
        const extensions = lines.filter((line) => /^\s+\S+ v\d/.test(line));
        expect(extensions.length).toBeGreaterThanOrEqual(20);
        expect(extensions.filter((line) => !/ enabled OK\b/.test(line))).toEqual([]);
    });

    it("has every server extension enabled and valid", async () => {
        const list = await run(
            jupyter.container,
            ["sh", "-c", "/opt/carbon/venv/bin/jupyter server extension list 2>&1"],
            "carbon",
        );
        expect(list).not.toMatch(/disabled|\bX\b|error|warn/i);
    });

    describe("in a browser", () => {
        let browser: Browser;

        beforeAll(async () => {
            browser = await launchBrowser();
        });
        afterAll(() => browser?.close());

        it("opens without an error in the console, and offers every kernel", async () => {
            const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
            const errors: string[] = [];
            page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
            page.on("pageerror", (error) => errors.push(String(error)));
            await page.goto(`${jupyter.address}/lab?token=${jupyter.token}`);
            const launcher = page.locator(".jp-LauncherCard-label");
            await launcher.filter({ hasText: "SQL" }).first().waitFor({ timeout: 60_000 });
            const labels = await launcher.allInnerTexts();
            mkdirSync(pictures, { recursive: true });
            await page.screenshot({ path: join(pictures, "jupyterlab.png") });
            expect(errors).toEqual([]);
            for (const kernel of ["Python 3 (Carbon)", "Bash", "TypeScript (Deno)", "SQL"]) {
                expect(labels).toContain(kernel);
            }
        });
    });
});
