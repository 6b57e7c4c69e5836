import type Docker from "dockerode";
import { run } from "./base-container";

/** The JupyterLab of a running workspace. */
export interface Jupyter {
    container: Docker.Container;
    /** On the host, without a slash at the end. */
    address: string;
    token: string;
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
