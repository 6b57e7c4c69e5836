import * as fs from "node:fs";
import { parseArgs } from "node:util";
import { removeLocks } from "@carbon/engine";
import { Command } from "commander";
import { action, report } from "../action";
import { confirm, ensureAnswerable } from "../confirm";
import { findPulumi } from "../engines";
import { pulumiEnv } from "../engines/pulumi";
import { UserError } from "../errors";
import { addCommonOptions, type CommonOptions, parseStackName } from "../options";
import { plural } from "../output";
import { shareTerminal } from "../process";
import { findProject, hasOwnBackend, type Project, projectName } from "../project";
import { goWhereItLives } from "../server/reach";
import type { Session } from "../session";
import { ensureUnlocked, stackLocks } from "../stackState";

/** `carbon pulumi`, for the help; {@link runPulumi} does it. */
export function addPulumi(program: Command): void {
    program
        .command("pulumi")
        .argument("[command...]", "the Pulumi CLI's own command with its options, handed on as they are")
        .description("run any command of the Pulumi CLI with this project's states, passphrase and stack")
        .addHelpText("after", "\nExample: ./carbon pulumi cancel --yes");
}

/** A command line that is for the Pulumi CLI. */
export interface PulumiCall {
    /** What stands before `pulumi`: options of carbon's own. */
    own: string[];
    /** What stands after it. */
    args: string[];
}

/**
 * Finds out whether a command line is for the Pulumi CLI, before commander takes options out of it that both know.
 *
 * @param argv Without Node.js and the script.
 */
export function forPulumi(argv: readonly string[]): PulumiCall | undefined {
    const position = argv.indexOf("pulumi");
    const own = argv.slice(0, position);
    // `--engine pulumi up` and a stack of that name are no such command.
    const isValue = /^(?:-s|--stack|--engine)$/.test(own.at(-1) ?? "");
    const isCommand = position >= 0 && !isValue && own.every(isOptionOrValue);
    return isCommand ? { own, args: argv.slice(position + 1) } : undefined;
}

function isOptionOrValue(word: string, index: number, words: string[]): boolean {
    return word.startsWith("-") || /^(?:-s|--stack|--engine)$/.test(words[index - 1] ?? "");
}

/** Does it, and returns the Pulumi CLI's exit code. */
export async function runPulumi({ own, args }: PulumiCall): Promise<number> {
    const options = ownOptions(own);
    try {
        const project = findProject(process.env);
        goWhereItLives(project, stackOf(args, options));
        const found = findPulumi(project, process.env.PATH ?? "");
        if (!found && args[0] === "cancel") {
            return await cancelWithout(stackOf(args, options), args);
        }
        if (!found) {
            throw new UserError(
                "There is no pulumi on PATH, nor among the project's tools. Install it (https://www.pulumi.com/docs/install/), " +
                    "or type: CARBON_RETRY=1 make setup",
            );
        }
        makeReady(project, stackOf(args, options), args);
        const env = { ...pulumiEnv(project, process.env, false), PULUMI_STACK: options.stack };
        return await shareTerminal(found.file, args, { cwd: project.dir, env });
    } catch (error) {
        return report(error, options.json);
    }
}

/** Dead locks are removed, and a live one is named, where a command would meet it. */
function makeReady(project: Project, stack: string, args: readonly string[]): void {
    fs.mkdirSync(project.stateDir, { recursive: true, mode: 0o700 });
    if (!hasOwnBackend(project, process.env) || args.includes("--help") || args.includes("-h")) {
        return;
    }
    if (["up", "update", "destroy", "refresh", "import", "watch"].includes(args[0] ?? "")) {
        ensureUnlocked({ project, stack });
    } else if (args[0] !== "cancel") {
        stackLocks({ project, stack });
    }
}

/** Carbon's own options before `pulumi`, with what STACK says. */
function ownOptions(own: readonly string[]): CommonOptions {
    const parser = new Command("carbon").exitOverride();
    addCommonOptions(parser);
    return parser.parse([...own], { from: "user" }).opts<CommonOptions>();
}

/** The stack that a call of the Pulumi CLI is about: its own option, or else carbon's. */
function stackOf(args: readonly string[], { stack }: CommonOptions): string {
    const { values } = parseArgs({
        args: [...args],
        strict: false,
        options: { stack: { type: "string", short: "s" } },
    });
    return typeof values.stack === "string" ? values.stack : stack;
}

/** Where there is no Pulumi CLI, the locks are the embedded engine's, and lie in the same place. */
async function cancelWithout(stack: string, args: readonly string[]): Promise<number> {
    const command = new Command("cancel");
    addCommonOptions(command.exitOverride());
    command.argument("[stack]").action(
        action(async (session: Session, _options, [named]) => {
            const of = parseStackName(named ?? session.stack);
            ensureAnswerable(session, "pulumi cancel");
            await confirm(
                session,
                `Unlock the stack ${of}? A run that still works on it would no longer keep others out.`,
            );
            const { stateDir } = session.project;
            const removed = removeLocks({ stateDir, project: projectName, stack: of });
            session.output.result(
                removed > 0
                    ? `The stack ${of} is unlocked; removed ${plural(removed, "lock")}.`
                    : `The stack ${of} is not locked.`,
                { stack: of, removed },
            );
        }),
    );
    await command.parseAsync(["--stack", stack, ...args.slice(1)], { from: "user" });
    return Number(process.exitCode ?? 0);
}
