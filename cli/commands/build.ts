import { type Command, InvalidArgumentError, Option } from "commander";
import type { Platform } from "../../catalogue/images";
import type { Settings } from "../../settings/parse";
import { action, type Handler } from "../action";
import { buildImages } from "../buildImages";
import { formatDuration } from "../output";
import { ensureReady } from "../preflight";

interface BuildFlags {
    platform?: Platform[];
    arm64: boolean;
    amd64: boolean;
    push: boolean;
}

const platforms: readonly Platform[] = ["linux/arm64", "linux/amd64"];

/** `carbon build`, which stands for the suite's original build scripts. */
export function addBuild(program: Command): void {
    program
        .command("build")
        .description("build both images, and launch nothing")
        .addOption(
            new Option(
                "--platform <list>",
                `platforms, separated by commas: ${platforms.join(", ")}`,
            ).argParser(parsePlatforms),
        )
        .option("--arm64", "short for --platform linux/arm64; with --amd64, both", false)
        .option("--amd64", "short for --platform linux/amd64; with --arm64, both", false)
        .option("--push", "push them to the registry that carbon:imagePrefix names", false)
        .action(action(build));
}

function parsePlatforms(list: string): Platform[] {
    const asked = list.split(",").map((platform) => platform.trim());
    const chosen = platforms.filter((platform) => asked.includes(platform));
    if (chosen.length !== asked.length) {
        throw new InvalidArgumentError(`Allowed: ${platforms.join(", ")}, each once.`);
    }
    return chosen;
}

const build: Handler<BuildFlags> = async (session, flags) => {
    const started = Date.now();
    const settings: Settings = session.settings(overrides(flags));
    await ensureReady(settings, "build", session.output);
    const images = await buildImages(settings, session);
    const seconds = (Date.now() - started) / 1000;
    const done = flags.push ? "Built and pushed" : "Built";
    session.output.result(
        [
            `${done} for ${settings.platforms.join(", ")} in ${formatDuration(seconds * 1000)}:`,
            ...images.map(({ ref }) => `  ${ref}`),
        ].join("\n"),
        { stack: session.stack, platforms: settings.platforms, pushed: settings.push, seconds, images },
    );
};

/** The flags as configuration values, so that they are checked with the rest of it. */
function overrides({ platform = [], arm64, amd64, push }: BuildFlags): Record<string, string> {
    const chosen = new Set<Platform>([
        ...platform,
        ...(arm64 ? ["linux/arm64" as const] : []),
        ...(amd64 ? ["linux/amd64" as const] : []),
    ]);
    return {
        ...(chosen.size > 0 ? { platforms: JSON.stringify([...chosen]) } : {}),
        ...(push ? { push: "true" } : {}),
    };
}
