/**
 * Measures `carbon up` of a slim stack with its image from a registry against one that builds it, on the Docker Engine that is in
 * use, and prints a Markdown table:
 *
 *     npx tsx benchmarks/registry.mts --prefix 127.0.0.1:5000/carbon [--toolsets a,b,…] [--only pull|build]
 *
 * The registry is to have the image under the tag `benchmark` (`./carbon build --push --tag benchmark`, with the same settings).
 * For figures from nothing the engine should have nothing but the root image: nothing is removed here.
 */
import { rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command, Option } from "commander";
import { execa } from "execa";
import { stringify } from "yaml";

interface Options {
    prefix: string;
    toolsets: string;
    only?: "pull" | "build";
}

const stack = "benchmark-registry";

async function main({ prefix, toolsets, only }: Options): Promise<void> {
    const settings = {
        toolsets: toolsets.split(",").filter(Boolean),
        ...{ compute: false, services: [], appPorts: [], portOffset: 23700 },
        imagePrefix: prefix,
        workspaceDir: join(tmpdir(), stack),
    };
    const pull = { images: "pull", pulledImages: { base: "benchmark" } };
    console.log("| `carbon up` | seconds |");
    console.log("| --- | --- |");
    try {
        if (only !== "build") {
            console.log(`| image from a registry | ${await measured({ ...settings, ...pull })} |`);
        }
        if (only !== "pull") {
            console.log(`| image built | ${await measured(settings)} |`);
        }
    } finally {
        rmSync(`Pulumi.${stack}.yaml`, { force: true });
        rmSync(settings.workspaceDir, { recursive: true, force: true });
    }
}

/** Seconds of an `up` with these settings; the stack is taken down again, the image stays. */
async function measured(settings: object): Promise<string> {
    const config = Object.entries(settings).map(([key, value]) => [`carbon:${key}`, value]);
    writeFileSync(`Pulumi.${stack}.yaml`, stringify({ config: Object.fromEntries(config) }));
    const carbon = (...command: string[]) =>
        execa("node", ["cli/carbon.js", ...command, "--stack", stack, "--yes", "--json"], {
            stderr: "inherit",
        });
    const begin = performance.now();
    await carbon("up");
    const seconds = (performance.now() - begin) / 1000;
    await carbon("down", "--volumes");
    return seconds.toFixed(0);
}

await new Command()
    .requiredOption("--prefix <prefix>", "registry and folder, as carbon:imagePrefix")
    .option("--toolsets <list>", "what the image holds besides the slim suite", "")
    .addOption(new Option("--only <kind>", "measure one of the two").choices(["pull", "build"]))
    .action(main)
    .parseAsync();
