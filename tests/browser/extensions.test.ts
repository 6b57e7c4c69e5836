import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { exec, removeAll, run } from "../image/base-container";
import { readImageJson } from "../image/base-image";
import { computeImage, startWorkspace } from "../image/compute-image";
import { type Jupyter, openPage, takePicture, watch } from "../image/jupyter";
import { launchBrowser } from "./desktop-clients";

const image = computeImage();
const { toolsets } = readImageJson(image);

describe.runIf(toolsets.includes("notebooks"))("JupyterLab's extensions", () => {
    let jupyter: Jupyter;
    let browser: Browser;

    beforeAll(async () => {
        browser = await launchBrowser();
        jupyter = await startWorkspace({ image });
    });
    afterAll(async () => {
        await browser?.close();
        await removeAll();
    });

    it("list the variables of a notebook's kernel", async () => {
        const errors: string[] = [];
        const page = await openPage(browser, jupyter, "/lab", errors);
        await page.locator(".jp-LauncherCard[title*='Python 3']").first().click({ timeout: 60_000 });
        await page.getByText("Python 3 (Carbon) | Idle").waitFor({ timeout: 60_000 });
        await page.locator(".jp-Notebook .cm-content").first().click();
        await page.keyboard.type("import numpy; harvest = numpy.arange(42)");
        await page.keyboard.press("Shift+Enter");
        await page.locator(".jp-NotebookPanel-toolbar").getByText("Variables").click();
        await page.getByText("harvest", { exact: true }).waitFor({ timeout: 30_000 });
        await takePicture(page, "variables");
        expect(errors).toEqual([]);
    });

    describe.runIf(toolsets.includes("tensorflow"))("TensorBoard", () => {
        const processes = () =>
            exec(jupyter.container, ["pgrep", "--full", "/opt/carbon/venv/bin/tensorboard"]);

        it("starts for those who have Jupyter's token, and for nobody else", async () => {
            const refused = await fetch(`${jupyter.address}/tensorboard/`, { redirect: "manual" });
            // Jupyter sends a page's reader to its login form.
            expect(refused.status).toBe(302);
            expect(refused.headers.get("location")).toContain("/login?");
            expect(
                (await fetch(`${jupyter.address}/tensorboard/?token=WrongTokenWrongTokenWr24`)).url,
            ).toContain("/login?");
            expect((await processes()).output).toBe("");
        });

        it("shows the runs in /workspace/runs, from its card in the launcher", async () => {
            const writeRun = `
from torch.utils.tensorboard import SummaryWriter
with SummaryWriter("/workspace/runs/first") as writer:
    for step in range(20):
        writer.add_scalar("loss", 1 / (1 + step), step)`;
            await run(jupyter.container, ["/opt/carbon/venv/bin/python", "-c", writeRun], "carbon");
            const errors: string[] = [];
            const lab = await openPage(browser, jupyter, "/lab/workspaces/tensorboard", errors);
            const card = lab.locator(".jp-LauncherCard", { hasText: "TensorBoard" });
            const [page] = await Promise.all([
                lab.waitForEvent("popup", { timeout: 90_000 }),
                card.click({ timeout: 30_000 }),
            ]);
            watch(page, jupyter, errors);
            await page.locator("card-view").first().waitFor({ timeout: 60_000 });
            await page.getByText("first", { exact: true }).first().waitFor();
            await takePicture(page, "tensorboard");
            // Its fonts ask for the host's root, which is Jupyter's, and the browser's own stand in. No other host is asked.
            expect(errors.filter((error) => error.startsWith("http"))).toEqual([]);
        });

        it("listens on the loopback alone", async () => {
            const pid = (await processes()).output.trim();
            const command = await run(jupyter.container, ["cat", `/proc/${pid}/cmdline`], "carbon");
            const port = Number(/--port=(\d+)/.exec(command)?.[1])
                .toString(16)
                .toUpperCase()
                .padStart(4, "0");
            const sockets = await run(jupyter.container, ["cat", "/proc/net/tcp", "/proc/net/tcp6"]);
            // The kernel writes addresses in hexadecimal, the lowest byte first; 0A is a socket that listens.
            const listening = sockets.match(new RegExp(`\\w+:${port} \\w+:0000 0A`, "g"));
            expect(listening).toEqual([`0100007F:${port} 00000000:0000 0A`]);
        });
    });
});
