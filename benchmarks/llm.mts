/**
 * Measures the LLM server beside llama-cpp-python's, which the suite served models with before, and prints a Markdown table:
 *
 *     npx tsx benchmarks/llm.mts --new PYTHON --old PYTHON [--model FILE.gguf] [--threads NUMBER]
 *
 * Each PYTHON is one of an environment: the first with aiohttp and xllamacpp, the second with llama-cpp-python[server]. One
 * of them needs gguf and numpy, too, where no model is given: then it is one of random weights, 100 MB of them.
 */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import { execa } from "execa";
import { freePort } from "../tests/ports.js";

const project = resolve(import.meta.dirname, "..");
const server = join(project, "dockerfiles/compute/rootfs/llm/usr/local/lib/carbon/llm_server.py");
const maker = join(project, "tests/image/tiny_gguf.py");
const key = "benchmark";
const tokens = 128;
/** What clients ask for at a time. */
const crowds = [1, 4];
/** Of the generated model: the width of its feed-forward part, which is nearly all of it. */
const feedForward = 131_072;

interface Options {
    new: string;
    old: string;
    model?: string;
    repeat: string;
    threads: string;
}

/** What one client saw. */
interface Answer {
    /** Milliseconds after the start at which each piece of text came. */
    arrivals: number[];
    isWhole: boolean;
}

/** Runs a server while something is measured at its address. */
async function beside<T>(
    program: string,
    options: (port: number) => string[],
    work: (address: string) => Promise<T>,
): Promise<T> {
    const port = await freePort();
    const running = execa(program, options(port), { reject: false, all: true });
    const address = `http://127.0.0.1:${port}/v1`;
    try {
        for (let waited = 0; !(await isReady(address)); waited++) {
            if (running.exitCode !== null || waited > 600) {
                running.kill();
                throw new Error(`${program} serves nothing: ${(await running).all}`);
            }
            await sleep(200);
        }
        return await work(address);
    } finally {
        running.kill();
        await running;
    }
}

const headers = { Authorization: `Bearer ${key}`, "Content-Type": "application/json" };

async function isReady(address: string): Promise<boolean> {
    return (await fetch(`${address}/models`, { headers }).catch(() => undefined))?.ok ?? false;
}

/** A chat word by word. Its prompt is another each time, so that nothing of it is computed already. */
async function chat(address: string, bias: Record<string, number>, number: number): Promise<Answer> {
    const content = `${number} ${"Tell me a story. ".repeat(20)}`;
    const messages = [{ role: "user", content }];
    const body = {
        model: "any",
        messages,
        max_tokens: tokens,
        stream: true,
        temperature: 0,
        logit_bias: bias,
    };
    const begin = performance.now();
    const arrivals: number[] = [];
    let reason = "";
    try {
        const answer = await fetch(`${address}/chat/completions`, {
            method: "POST",
            headers,
            body: JSON.stringify(body),
        });
        let rest = "";
        for await (const piece of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
            const lines = (rest + piece).split("\n");
            rest = lines.pop() ?? "";
            for (const line of lines.filter((one) => one.startsWith("data: {"))) {
                const choice = JSON.parse(line.slice("data: ".length)).choices?.[0];
                if (choice?.delta?.content) {
                    arrivals.push(performance.now() - begin);
                }
                reason = choice?.finish_reason ?? reason;
            }
        }
    } catch (error) {
        // Cut off: what came counts, and the answer is not whole.
        if (!(error instanceof TypeError)) {
            throw error;
        }
    }
    return { arrivals, isWhole: reason !== "" };
}

/** Several clients at a time. */
async function measure(address: string, bias: Record<string, number>, clients: number, round: number) {
    const begin = performance.now();
    const asked = Array.from({ length: clients }, (_, index) => chat(address, bias, round * clients + index));
    const answers = await Promise.all(asked);
    const pieces = answers.reduce((sum, { arrivals }) => sum + arrivals.length, 0);
    return {
        rate: (pieces / (performance.now() - begin)) * 1000,
        first: median(answers.map(({ arrivals }) => arrivals[0] ?? Number.POSITIVE_INFINITY)),
        whole: answers.filter(({ isWhole }) => isWhole).length,
    };
}

function median(numbers: number[]): number {
    const sorted = [...numbers].sort((one, other) => one - other);
    return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

async function makeModel(file: string, pythons: string[]): Promise<void> {
    for (const python of pythons) {
        const { exitCode } = await execa(python, [maker, file, "chat", String(feedForward)], {
            reject: false,
        });
        if (exitCode === 0) {
            return;
        }
    }
    throw new Error("No environment has gguf and numpy: name a model with --model.");
}

async function main(options: Options): Promise<void> {
    const folder = mkdtempSync(join(tmpdir(), "carbon-llm-benchmark-"));
    try {
        const models = join(folder, "models");
        mkdirSync(models);
        const model = join(models, "model.gguf");
        if (options.model) {
            symlinkSync(resolve(options.model), model);
        } else {
            await makeModel(model, [options.new, options.old]);
        }
        // The generated model's bytes at random make few letters: it says "a" each time (token 260).
        const bias: Record<string, number> = options.model ? {} : { 260: 100 };
        const keyFile = join(folder, "key");
        writeFileSync(keyFile, key, { mode: 0o600 });
        const { threads } = options;
        const servers: Record<string, [string, (port: number) => string[]]> = {
            "llama-cpp-python's": [
                options.old,
                (port) => [
                    ...[
                        "-m",
                        "llama_cpp.server",
                        "--model",
                        model,
                        "--n_ctx",
                        "4096",
                        "--n_threads",
                        threads,
                    ],
                    ...["--verbose", "false", "--port", String(port)],
                ],
            ],
            "the suite's": [
                options.new,
                (port) => [
                    ...["-I", server, "--models", models, "--key-file", keyFile, "--threads", threads],
                    ...["--port", String(port)],
                ],
            ],
        };
        console.log(`${cpus()[0]?.model}, ${threads} threads, ${tokens} tokens for each client\n`);
        console.log(
            "| server | clients at a time | tokens per second | first token | answers that were whole |",
        );
        console.log("| --- | --- | --- | --- | --- |");
        for (const [name, [program, command]] of Object.entries(servers)) {
            await beside(program, command, async (address) => {
                await measure(address, bias, 1, 1000);
                for (const clients of crowds) {
                    const rounds: Awaited<ReturnType<typeof measure>>[] = [];
                    for (let round = 0; round < Number(options.repeat); round++) {
                        rounds.push(await measure(address, bias, clients, round));
                    }
                    const rate = median(rounds.map((one) => one.rate)).toFixed(1);
                    const first = median(rounds.map((one) => one.first)).toFixed(0);
                    const whole = rounds.reduce((sum, one) => sum + one.whole, 0);
                    console.log(
                        `| ${name} | ${clients} | ${rate} | ${first} ms | ${whole} of ${clients * rounds.length} |`,
                    );
                }
            });
        }
    } finally {
        rmSync(folder, { recursive: true });
    }
}

const program = new Command()
    .requiredOption("--new <python>", "of the environment with aiohttp and xllamacpp")
    .requiredOption("--old <python>", "of the environment with llama-cpp-python[server]")
    .option("--model <file>", "GGUF file to serve; one is generated otherwise")
    .option("--threads <number>", "that compute", String(availableParallelism()))
    .option("--repeat <number>", "of each measurement; the median counts", "5");
await main(program.parse().opts<Options>());
