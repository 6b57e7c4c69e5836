import { type Command, InvalidArgumentError, Option } from "commander";
import { imagePlatforms, type Platform } from "../../catalogue/images";
import type { Settings } from "../../settings/parse";
import { action, type Handler } from "../action";
import { buildImages } from "../buildImages";
import { exitCodes, UserError } from "../errors";
import { formatDuration } from "../output";
import { ensureReady } from "../preflight";
import { mergeImages, signImages, tagImages } from "../publish";
import type { Session } from "../session";

interface BuildFlags {
    platform?: Platform[];
    arm64: boolean;
    amd64: boolean;
    push: boolean;
    merge: boolean;
    tag?: string;
    sign: boolean;
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
        .option(
            "--push",
            "push them to the registry that carbon:imagePrefix names, with bills of materials",
            false,
        )
        .option(
            "--merge",
            "build nothing: make one image of what a machine of each platform has pushed",
            false,
        )
        .addOption(
            new Option(
                "--tag <tag>",
                "one more tag for what is pushed or merged, such as 2026.1, for carbon:pulledImages",
            ).argParser(parseTag),
        )
        .option("--no-sign", "do not sign what is pushed, where cosign is installed")
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

function parseTag(tag: string): string {
    if (!/^\w[\w.-]{0,127}$/.test(tag)) {
        throw new InvalidArgumentError("Use up to 128 letters, digits, _, . and -, the last two not first.");
    }
    return tag;
}

const build: Handler<BuildFlags> = async (session, flags) => {
    const started = Date.now();
    const settings: Settings = session.settings(overrides(flags));
    ensureBuilds(settings, session);
    if (flags.merge && (flags.platform || flags.arm64 || flags.amd64 || flags.push)) {
        throw new UserError(
            "--merge takes what was pushed for both platforms. Leave --push and the platforms out.",
            exitCodes.usage,
        );
    }
    if (flags.tag && !settings.push) {
        throw new UserError("--tag is for the registry. Add --push.", exitCodes.usage);
    }
    if (!flags.merge) {
        await ensureReady(settings, "build", session.output);
    }
    const images = await (flags.merge ? mergeImages : buildImages)(settings, session);
    const tags = flags.tag ? await tagImages(images, flags.tag, settings, session) : [];
    const signed = settings.push && flags.sign ? await signImages(images, session) : false;
    const platforms = flags.merge ? [...imagePlatforms] : settings.platforms;
    const seconds = (Date.now() - started) / 1000;
    const done = flags.merge ? "Merged" : settings.push ? "Built and pushed" : "Built";
    session.output.result(
        [
            `${done} for ${platforms.join(", ")} in ${formatDuration(seconds * 1000)}:`,
            ...images.map(({ ref }) => `  ${ref}`),
            ...tags.map((tag) => `  ${tag}`),
            ...(signed ? ["Signed with cosign."] : []),
        ].join("\n"),
        { stack: session.stack, platforms, pushed: settings.push, seconds, images, tags, signed },
    );
};

/** Where images are pulled, what is built would never run. */
function ensureBuilds({ images, stack }: Settings, session: Session): void {
    if (images === "pull") {
        throw new UserError(
            `The stack ${stack} takes its images from a registry (carbon:images is pull). Build with a stack that has build there: ` +
                `./carbon build --stack NAME, or set carbon:images to build in Pulumi.${session.stack}.yaml.`,
        );
    }
}

/** The flags as configuration values, so that they are checked with the rest of it. */
function overrides({ platform = [], arm64, amd64, push, merge }: BuildFlags): Record<string, string> {
    const chosen = new Set<Platform>([
        ...platform,
        ...(arm64 ? ["linux/arm64" as const] : []),
        ...(amd64 ? ["linux/amd64" as const] : []),
    ]);
    return {
        ...(chosen.size > 0 ? { platforms: JSON.stringify([...chosen]) } : {}),
        ...(push || merge ? { push: "true" } : {}),
    };
}
