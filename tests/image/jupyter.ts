import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import type Docker from "dockerode";
import type { Browser, Page } from "playwright-core";
import { run } from "./base-container";

const pictures = resolve(__dirname, "../../test-results");

/** The JupyterLab of a running workspace. */
export interface Jupyter {
    container: Docker.Container;
    /** On the host, without a slash at the end. */
    address: string;
    token: string;
}

/** Notes in `errors` what fails on a page of Jupyter's server, and what the page asks of another host. */
export function watch(page: Page, jupyter: Jupyter, errors: string[]): void {
    page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("request", (request) => {
        const url = new URL(request.url());
        if (/^(http|ws)s?:$/.test(url.protocol) && url.host !== new URL(jupyter.address).host) {
            errors.push(request.url());
        }
    });
}

/** Opens a page of Jupyter's server with its token; {@link watch} sees it from the start. */
export async function openPage(
    browser: Browser,
    jupyter: Jupyter,
    path: string,
    errors: string[],
): Promise<Page> {
    const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
    watch(page, jupyter, errors);
    await page.goto(`${jupyter.address}${path}?token=${jupyter.token}`);
    return page;
}

/** Leaves a picture of a page in test-results/, to be looked at. */
export async function takePicture(page: Page, name: string): Promise<void> {
    mkdirSync(pictures, { recursive: true });
    await page.screenshot({ path: join(pictures, `${name}.png`) });
}

/** One output of a cell, as nbformat 4 has it. */
export interface Output {
    text?: string[];
    data?: Record<string, string | string[]>;
    /** What an error says. */
    evalue?: string;
}

/**
 * Runs cells in a new notebook in /workspace, as the user, and returns the first output of each. `options` are those of
 * `jupyter execute`; by default it fails where a cell does.
 */
export async function executeNotebook(
    jupyter: Jupyter,
    kernel: string,
    cells: string[],
    options: string[] = [],
): Promise<Output[]> {
    const name = `test-${kernel}.ipynb`;
    const saved = await fetch(`${jupyter.address}/api/contents/${name}`, {
        method: "PUT",
        headers: { Authorization: `token ${jupyter.token}` },
        body: JSON.stringify({ type: "notebook", content: notebook(kernel, cells) }),
    });
    if (!saved.ok) {
        throw new Error(`${name} was not saved: ${saved.status} ${await saved.text()}`);
    }
    // A login shell has the environment that JupyterLab's own kernels have.
    const execute = ["/opt/carbon/venv/bin/jupyter execute --inplace", ...options, `/workspace/${name}`];
    await run(jupyter.container, ["bash", "-lc", execute.join(" ")], "carbon");
    const executed = JSON.parse(await run(jupyter.container, ["cat", `/workspace/${name}`]));
    return executed.cells.map(({ outputs }: { outputs: Output[] }) => outputs[0]);
}

function notebook(kernel: string, cells: string[]) {
    const cell = (source: string) => ({
        cell_type: "code",
        source,
        metadata: {},
        outputs: [],
        execution_count: null,
    });
    return {
        cells: cells.map(cell),
        metadata: { kernelspec: { name: kernel, display_name: kernel } },
        nbformat: 4,
        nbformat_minor: 4,
    };
}

/** What a cell printed, or its result as plain text. */
export function plainText(output: Output | undefined): string {
    const text = output?.text ?? output?.data?.["text/plain"] ?? "";
    return [text].flat().join("").trim();
}
