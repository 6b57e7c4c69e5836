/**
 * Measures `carbon up` with images from a registry against one that builds them, each on a Docker Engine that has nothing but
 * the root image, and prints a Markdown table:
 *
 *     npx tsx benchmarks/registry.mts [--toolsets a,b,…] [--skip-build]
 *
 * Needs root, Linux and Debian's docker-registry. The registry is on the same machine: what is measured is what a fast network
 * would leave. The images are pushed first, which is not counted.
 */
import { rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { execa } from "execa";
import { stringify } from "yaml";
import { Registry } from "../tests/registry";
import { SecondEngine } from "../tests/second-engine";
import { provideRegistry } from "../tests/setup/registry";

interface Options {
    toolsets: string;
    skipBuild: boolean;
}

const port = 23700;
const stack = "benchmark-registry";
const rootImage = "docker.io/library/debian:trixie-slim";

async function main({ toolsets, skipBuild }: Options): Promise<void> {
    await provideRegistry();
    const registry = await Registry.start(port);
    const env = { DOCKER_CONFIG: registry.dockerConfig("docker") };
    const settings = {
        toolsets: toolsets.split(",").filter(Boolean),
        ...{ compute: false, services: [], appPorts: [], portOffset: 23700 },
        imagePrefix: `127.0.0.1:${port}/benchmark`,
        workspaceDir: join(tmpdir(), stack),
    };
    configure(settings);
    try {
        const pushed = await execa("node", carbon("build", "--push", "--tag", "benchmark"), { env });
        const { images } = JSON.parse(pushed.stdout);
        console.log("| `carbon up` on an engine that has nothing | seconds |");
        console.log("| --- | --- |");
        configure({ ...settings, images: "pull", pulledImages: { base: "benchmark" } });
        console.log(`| images from a registry | ${await measured(registry, env)} |`);
        if (!skipBuild) {
            configure(settings);
            console.log(`| images built | ${await measured(registry, env)} |`);
        }
        await execa("docker", ["image", "rm", "--force", images[0].ref.replace(/@.*/, "")]);
    } finally {
        registry.remove();
        rmSync(`Pulumi.${stack}.yaml`, { force: true });
        rmSync(settings.workspaceDir, { recursive: true, force: true });
    }
}

function configure(settings: object): void {
    const config = Object.entries(settings).map(([key, value]) => [`carbon:${key}`, value]);
    writeFileSync(`Pulumi.${stack}.yaml`, stringify({ config: Object.fromEntries(config) }));
}

function carbon(...command: string[]): string[] {
    return ["cli/carbon.js", ...command, "--stack", stack, "--yes", "--json"];
}

/** Seconds of an `up` on an engine of its own. */
async function measured(registry: Registry, env: { DOCKER_CONFIG: string }): Promise<string> {
    const engine = await SecondEngine.start(27, { outgoing: true });
    const seen = await registry.within(engine.namespace);
    try {
        const load = 'docker save "$1" | docker --host "$2" load';
        await execa("bash", ["-c", load, "-", rootImage, engine.host]);
        const there = (...command: string[]) =>
            execa("nsenter", [`--net=/run/netns/${engine.namespace}`, "node", ...carbon(...command)], {
                env: { ...env, DOCKER_HOST: engine.host },
                stderr: "inherit",
            });
        const begin = performance.now();
        await there("up");
        const seconds = (performance.now() - begin) / 1000;
        await there("down", "--volumes");
        return seconds.toFixed(0);
    } finally {
        seen.stop();
        await engine.remove();
    }
}

await new Command()
    .option("--toolsets <list>", "what the image holds besides the slim suite", "")
    .option("--skip-build", "measure the pull alone", false)
    .action(main)
    .parseAsync();
