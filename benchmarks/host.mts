/**
 * Measures kernels on this machine as a stack with `gpu: host` has them in its workspace, and prints a Markdown table:
 *
 *     npx tsx benchmarks/host.mts [--stack NAME] [--repeat NUMBER]
 *
 * The stack runs. Kernels are started, and ended again.
 */
import { Command } from "commander";
import { execa } from "execa";

/** A notebook's first cell: from the request for a kernel, as after a click in the launcher, until its output is there. */
const firstCell = `
import sys, time
from pathlib import Path
from jupyter_kernel_client import JupyterKernelClient

address, kernel = sys.argv[1:]
client = JupyterKernelClient(server_url=address, token=Path("/run/carbon/user/jupyter").read_text().strip())
begin = time.monotonic()
client.start(name=kernel, timeout=120)
answer = client.execute("print(6 * 7)", timeout=120)
seconds = time.monotonic() - begin
client.stop(shutdown_kernel=True)
assert answer["outputs"][0]["text"].strip() == "42", answer
print(seconds)
`;

interface Options {
    stack: string;
    repeat: string;
}

async function main({ stack, repeat }: Options): Promise<void> {
    const inWorkspace = async (...command: string[]) => {
        const place = ["exec", "--user", "carbon", "--workdir", "/workspace", `carbon-${stack}-workspace`];
        return (await execa("docker", [...place, ...command], { stdin: "ignore" })).stdout;
    };
    const rounds = async (measure: () => Promise<number>) => {
        const seconds: string[] = [];
        for (let round = 0; round < Number(repeat); round++) {
            seconds.push((await measure()).toFixed(1));
        }
        return `${seconds.join(", ")} s`;
    };
    const python = "/opt/carbon/venv/bin/python";
    const kernels = (await inWorkspace("carbon-gpu", "status")).matchAll(/^ {2}(\S+) /gm);
    console.log(`| what | ${repeat} times, one after the other |`);
    console.log("| --- | --- |");
    for (const kernel of ["python3", ...[...kernels].map(([, name = ""]) => name)]) {
        const cell = async () =>
            Number(await inWorkspace(python, "-c", firstCell, "http://127.0.0.1:8888", kernel));
        console.log(`| first cell on \`${kernel}\` | ${await rounds(cell)} |`);
    }
    const whole = async () => {
        const begin = performance.now();
        await inWorkspace("carbon-gpu", "python", "-c", "print(1)");
        return (performance.now() - begin) / 1000;
    };
    console.log(`| \`carbon-gpu python -c 'print(1)'\`, with \`docker exec\` | ${await rounds(whole)} |`);
}

await new Command()
    .option("--stack <name>", "a stack that runs, with gpu: host", "dev")
    .option("--repeat <number>", "how often each is measured", "5")
    .action(main)
    .parseAsync();
