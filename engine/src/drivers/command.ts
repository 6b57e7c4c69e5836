import { randomBytes } from "node:crypto";
import { resolve } from "node:path";
import { diffProps } from "../diff";
import { EngineError } from "../errors";
import { type ProcessResult, runProcess } from "../process";
import { hasSecret, type Props, reveal, Secret } from "../values";
import { type Context, type Driver, fields, refuseUnhandled, text, texts } from "./driver";

const TYPE = "command:local:Command";
const DEFAULT_INTERPRETER = process.platform === "win32" ? ["cmd", "/C"] : ["/bin/sh", "-c"];
const SHAPE = fields("create update delete triggers environment dir logging interpreter stdin");

/** Runs a command on this machine when it is created, updated or deleted. It never runs in a preview. */
export const localCommand: Driver = {
    changingOutputs: ["stdout", "stderr"],
    check(inputs) {
        refuseUnhandled(TYPE, inputs, SHAPE);
        return inputs;
    },
    diff: (old, news) => ({
        changes: diffProps(old.inputs, news).map((c) => ({ ...c, replace: c.path[0] === "triggers" })),
        deleteBeforeReplace: false,
    }),
    async create(inputs, context) {
        const outputs = await run(text(reveal(inputs) as Props, "create"), inputs, {}, context);
        return { id: `${context.name}${randomBytes(4).toString("hex")}`, outputs };
    },
    async update(old, news, context) {
        const plain = reveal(news) as Props;
        return run(text(plain, "update") ?? text(plain, "create"), news, old.outputs, context);
    },
    async delete(old, context) {
        const command = text(reveal(old.inputs) as Props, "delete");
        if (command) {
            await run(command, old.inputs, old.outputs, context);
        }
    },
};

/** Runs the command line, if there is one. @returns the outputs: the inputs, stdout and stderr. */
async function run(
    command: string | undefined,
    inputs: Props,
    previous: Props,
    context: Context,
): Promise<Props> {
    const plain = reveal(inputs) as Props;
    const wrap = (value: string) => (hasSecret(inputs) ? new Secret(value) : value);
    if (!command) {
        return { ...inputs, stdout: previous.stdout ?? wrap(""), stderr: previous.stderr ?? wrap("") };
    }
    const [shell = "", ...shellArgs] = plain.interpreter ? texts(plain, "interpreter") : DEFAULT_INTERPRETER;
    const result = await runProcess(shell, [...shellArgs, command], {
        cwd: resolve(context.projectDir, text(plain, "dir") ?? "."),
        env: {
            ...context.env,
            ...previousOutput(previous),
            ...(plain.environment as Record<string, string>),
        },
        input: text(plain, "stdin"),
        signal: context.signal,
    });
    logOutput(text(plain, "logging") ?? "stdoutAndStderr", result, hasSecret(inputs), context);
    if (!result.succeeded) {
        const said = [result.stdout, result.stderr].filter(Boolean).join("\n");
        throw new EngineError(`${reason(result)}${said && !hasSecret(inputs) ? `:\n${said}` : "."}`);
    }
    return { ...inputs, stdout: wrap(result.stdout), stderr: wrap(result.stderr) };
}

function reason({ stopped, missing, exitCode }: ProcessResult): string {
    if (stopped) {
        return "The command was interrupted";
    }
    return missing
        ? "The command's interpreter does not exist"
        : `The command failed with exit code ${exitCode}`;
}

function previousOutput({ stdout, stderr }: Props): Record<string, string> {
    return {
        ...(stdout === undefined ? {} : { PULUMI_COMMAND_STDOUT: String(reveal(stdout)) }),
        ...(stderr === undefined ? {} : { PULUMI_COMMAND_STDERR: String(reveal(stderr)) }),
    };
}

function logOutput(
    logging: string,
    result: { stdout: string; stderr: string },
    isSecret: boolean,
    context: Context,
): void {
    if (isSecret || logging === "none") {
        return;
    }
    const streams = [logging !== "stderr" && result.stdout, logging !== "stdout" && result.stderr];
    for (const line of streams.filter(Boolean).join("\n").split("\n").filter(Boolean)) {
        context.message(line);
    }
}
