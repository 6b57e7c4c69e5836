import { randomBytes } from "node:crypto";
import { diffProps } from "../diff";
import { EngineError } from "../engine-error";
import { type ProcessResult, runProcess } from "../run-process";
import { hasSecret, type Props, reveal, Secret } from "../values";
import { type Context, type Driver, fields, refuseUnhandled, text } from "./driver";

const TYPE = "command:local:Command";
const SHAPE = fields("create update delete triggers environment logging");

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
        const outputs = await run(text(reveal(inputs), "create"), inputs, {}, context);
        return { id: `${context.name}${randomBytes(4).toString("hex")}`, outputs };
    },
    async update(old, news, context) {
        const plain = reveal(news);
        return run(text(plain, "update") ?? text(plain, "create"), news, old.outputs, context);
    },
    async delete(old, context) {
        const command = text(reveal(old.inputs), "delete");
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
    const plain = reveal(inputs);
    const before = reveal(previous);
    const isSecret = hasSecret(inputs);
    const wrap = (value: string) => (isSecret ? new Secret(value) : value);
    if (!command) {
        return { ...inputs, stdout: previous.stdout ?? wrap(""), stderr: previous.stderr ?? wrap("") };
    }
    const result = await runProcess("/bin/sh", ["-c", command], {
        cwd: context.projectDir,
        env: {
            ...context.env,
            PULUMI_COMMAND_STDOUT: text(before, "stdout"),
            PULUMI_COMMAND_STDERR: text(before, "stderr"),
            ...(plain.environment as Record<string, string>),
        },
        cancelSignal: context.signal,
    });
    if (!isSecret) {
        logOutput(text(plain, "logging") ?? "stdoutAndStderr", result, context);
    }
    if (result.exitCode !== 0) {
        const said = [result.stdout, result.stderr].filter(Boolean).join("\n");
        const reason = result.stopped
            ? "The command was interrupted"
            : `The command failed with exit code ${result.exitCode}`;
        throw new EngineError(`${reason}${said && !isSecret ? `:\n${said}` : "."}`);
    }
    return { ...inputs, stdout: wrap(result.stdout), stderr: wrap(result.stderr) };
}

/** @param logging the provider's names: `stdout`, `stderr`, `stdoutAndStderr` or `none`. */
function logOutput(logging: string, { stdout, stderr }: ProcessResult, context: Context): void {
    const streams = [/^stdout/.test(logging) ? stdout : "", /stderr$/i.test(logging) ? stderr : ""];
    for (const line of streams.join("\n").split("\n").filter(Boolean)) {
        context.message(line);
    }
}
