/**
 * Measures what docs/benchmarks.md reports, and prints each figure as a row of a Markdown table.
 *
 *     npx tsx benchmarks/run.mts --help
 *
 * Nothing of a stack is touched. Images that are made get the tag `carbon/<image>:benchmark`.
 */
import { appendFileSync, cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Command, Option } from "commander";
import Docker from "dockerode";
import { execa } from "execa";
import { gguf, TestHub } from "../tests/hub.js";

const project = resolve(import.meta.dirname, "..");
const secret = process.env.NODE_EXTRA_CA_CERTS ?? process.env.SSL_CERT_FILE;

interface BuildArgs {
    dockerfile: string;
    tag: string;
    /** Folder of the build context. Default: the project. */
    context?: string;
    /** More arguments of `docker buildx build`. */
    options?: string[];
    /** How the result is written. Default: as the suite does, with zstd. */
    output?: string;
}

function row(...cells: (string | number)[]): void {
    console.log(`| ${cells.join(" | ")} |`);
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
    const begin = performance.now();
    await work();
    return Math.round((performance.now() - begin) / 1000);
}

function build({ dockerfile, tag, context = project, options = [], output }: BuildArgs): Promise<number> {
    const exporter = output ?? `type=image,name=${tag},compression=zstd,oci-mediatypes=true`;
    const ca = secret ? [`--secret=id=ca,src=${secret}`] : [];
    const command = ["buildx", "build", `--file=${dockerfile}`, ...ca, ...options, `--output=${exporter}`];
    return seconds(() =>
        execa("docker", [...command, context], {
            env: { BUILDX_NO_DEFAULT_ATTESTATIONS: "1" },
            stdio: ["ignore", "ignore", "inherit"],
        }),
    );
}

/** Unpacked size of an image's files in MB. */
async function megabytes(image: string): Promise<number> {
    const du = ["run", "--rm", "--entrypoint=du", image, "-xsm", "/"];
    return Number((await execa("docker", du, { reject: false })).stdout.split("\t")[0]);
}

/** How an image is built: build arguments, and platforms other than the machine's own, as `--platform` takes them. */
interface BuildOptions {
    arg: string[];
    platform?: string;
}

const tagOf = (image: string) => `docker.io/carbon/${image}:benchmark`;
const buildArgs = ({ arg, platform }: BuildOptions) => [
    ...arg.map((value) => `--build-arg=${value}`),
    ...(platform ? [`--platform=${platform}`] : []),
];

/** The image from nothing. What apt and npm have downloaded before is kept; `docker builder prune --all` drops it. */
async function measureCold(image: string, options: BuildOptions) {
    const tag = tagOf(image);
    const dockerfile = `dockerfiles/${image}/Dockerfile`;
    const cold = await build({ dockerfile, tag, options: [...buildArgs(options), "--no-cache"] });
    row(
        `${image}, nothing cached${options.platform ? `, ${options.platform}` : ""}`,
        `${cold} s`,
        `${await megabytes(tag)} MB`,
    );
}

/** The image again, with one package more in one of its lists. */
async function measureChange(image: string, list: string, name: string, options: BuildOptions) {
    const context = mkdtempSync(join(tmpdir(), "carbon-benchmark-"));
    cpSync(join(project, "dockerfiles"), join(context, "dockerfiles"), { recursive: true });
    cpSync(join(project, "verify"), join(context, "verify"), { recursive: true });
    appendFileSync(join(context, list), `${name}\n`);
    const dockerfile = join(context, `dockerfiles/${image}/Dockerfile`);
    const changed = await build({ dockerfile, tag: tagOf(image), context, options: buildArgs(options) });
    row(`${image}, ${name} added to ${list}`, `${changed} s`, "");
    rmSync(context, { recursive: true });
}

/** The same contents from one plain Dockerfile, with the default export. */
async function measurePlain(image: string, options: BuildOptions) {
    const tag = tagOf(image);
    const dockerfile = `benchmarks/${image}-plain.Dockerfile`;
    const output = `type=image,name=${tag}`;
    const plain = await build({ dockerfile, tag, options: [...buildArgs(options), "--no-cache"], output });
    row(`${image}, the same from one plain Dockerfile`, `${plain} s`, `${await megabytes(tag)} MB`);
}

/** Does `work` with a healthy workspace whose passwords open nothing else; it gets the seconds to health as well. */
async function withWorkspace(image: string, work: (name: string, seconds: number) => Promise<void>) {
    const name = `carbon-benchmark-${process.pid}`;
    const secrets = ["ssh", "vnc", "jupyter", "code-server"].map((file) => `/run/carbon/secrets/${file}`);
    const command = `echo benchmk8 | tee ${secrets.join(" ")} > /dev/null; exec carbon-entrypoint workspace`;
    const options = ["--detach", `--name=${name}`, "--shm-size=1g", "--entrypoint=tini"];
    const begin = performance.now();
    try {
        await execa("docker", ["run", ...options, image, "--", "sh", "-c", command]);
        while ((await execa("docker", ["exec", name, "carbon-health"], { reject: false })).exitCode !== 0) {
            await sleep(100);
        }
        await work(name, (performance.now() - begin) / 1000);
    } finally {
        await execa("docker", ["rm", "--force", "--volumes", name]);
    }
}

/** Start to healthy, three times. */
async function measureStart(image: string) {
    const times: string[] = [];
    for (let start = 0; start < 3; start++) {
        await withWorkspace(image, async (_name, seconds) => {
            times.push(`${seconds.toFixed(1)} s`);
        });
    }
    row(`${image}, started to healthy`, times.join(", "));
}

/** CPU time since the start in seconds, and memory without the page cache in MB, as `docker stats` reckons them. */
async function usage(name: string) {
    const { cpu_stats: cpu, memory_stats: memory } = await new Docker()
        .getContainer(name)
        .stats({ stream: false });
    const cache = memory.stats.inactive_file ?? memory.stats.total_inactive_file;
    return { cpu: cpu.cpu_usage.total_usage / 1e9, memory: (memory.usage - cache) / 1e6 };
}

/** What an idle workspace takes, from a minute after its start on, over another minute. */
async function measureIdle(image: string) {
    await withWorkspace(image, async (name) => {
        await sleep(60_000);
        const before = await usage(name);
        await sleep(60_000);
        const after = await usage(name);
        const share = ((after.cpu - before.cpu) / 60) * 100;
        row(`${image}, idle`, `${Math.round(after.memory)} MB`, `${share.toFixed(1)} % of a core`);
    });
}

/** A model of 200 MB from a hub on this machine, three times: what the client takes, without a network. */
async function measurePull(python: string) {
    const hub = await TestHub.start({ "me/models": { files: { "model.gguf": { content: gguf(200e6) } } } });
    const models = join(project, "dockerfiles/compute/rootfs/llm/usr/local/lib/carbon/models.py");
    const times: string[] = [];
    for (let pull = 0; pull < 3; pull++) {
        const folder = mkdtempSync(join(tmpdir(), "carbon-benchmark-"));
        const files = [{ repo: "me/models", file: "model.gguf", name: "model.gguf" }];
        const begin = performance.now();
        const child = execa(python, ["-I", models], { stdin: "pipe" });
        child.stdin.write(`${JSON.stringify({ action: "pull", folder, endpoint: hub.endpoint, files })}\n`);
        await child;
        times.push(`${((performance.now() - begin) / 1000).toFixed(1)} s`);
        rmSync(folder, { recursive: true });
    }
    hub.stop();
    row("a model of 200 MB, pulled and verified", times.join(", "));
}

const program = new Command("benchmarks/run.mts");
const buildArg = () =>
    new Option("--arg <name=value>", "build argument")
        .default([])
        .argParser((value, all: string[]) => [...all, value]);
program
    .command("cold")
    .argument("<image>", "base or compute")
    .addOption(buildArg())
    .option("--platform <list>", "platforms, such as linux/amd64,linux/arm64")
    .description("build it from nothing")
    .action(measureCold);
program
    .command("change")
    .argument("<image>", "base or compute")
    .argument("<list>", "package list, such as dockerfiles/base/packages/small/go.txt")
    .argument("<package>", "what to add to it")
    .addOption(buildArg())
    .description("build it with one package more, after `cold`")
    .action(measureChange);
program
    .command("plain")
    .argument("<image>", "base or compute")
    .addOption(buildArg())
    .description("build the same from a plain sequential Dockerfile")
    .action(measurePlain);
program.command("start").argument("<image>").description("start to healthy").action(measureStart);
program
    .command("idle")
    .argument("<image>")
    .description("memory and CPU of an idle workspace")
    .action(measureIdle);
program
    .command("pull")
    .argument(
        "<python>",
        "one with the hub's client, such as .carbon/tools/hub-client/bin/python of the tests",
    )
    .description("a model from a hub on this machine")
    .action(measurePull);
program.parseAsync();
