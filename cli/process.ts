import { execa, type Options } from "execa";
import { Interrupted, UserError } from "./errors";

/** How a process ended. */
export interface ProcessResult {
    /** 127 when the program does not exist, as shells have it; 128 when a signal ended it. */
    exitCode: number;
    stdout: string;
    stderr: string;
    /** What to tell the user of a failure: the last line of stderr, or else of stdout. */
    reason: string;
}

const notFound = 127;
const killed = 128;

/** Runs a program and waits for its end. It never throws for an exit code. */
export async function run(
    command: string,
    args: readonly string[],
    options: Options = {},
): Promise<ProcessResult> {
    const result = await execa(command, [...args], { stdin: "ignore", ...options, reject: false });
    const stdout = text(result.stdout);
    const stderr = text(result.stderr);
    const exitCode = result.exitCode ?? (result.code === "ENOENT" ? notFound : killed);
    return { exitCode, stdout, stderr, reason: reasonOf(command, exitCode, stderr || stdout) };
}

/**
 * Runs a program that has to succeed, and returns what it printed.
 *
 * @throws UserError with `failure` and the program's own last words.
 */
export async function runOrFail(command: string, args: readonly string[], failure: string): Promise<string> {
    const result = await run(command, args);
    if (result.exitCode !== 0) {
        throw new UserError(`${failure}: ${result.reason}`);
    }
    return result.stdout;
}

/**
 * Runs a program that shares the terminal with its user, and returns its exit code. A terminal hands Ctrl-C to
 * the program as well; without one, or for another signal, it is passed on here. It is never killed: it knows
 * best how to leave its state in order.
 *
 * @param stdout Where its standard output goes: file descriptor 1, or 2 to keep 1 free for a document.
 * @throws Interrupted when `signal` ended it.
 */
export async function runInteractively(
    command: string,
    args: readonly string[],
    options: Options & { signal: AbortSignal; stdout?: 1 | 2 },
): Promise<number> {
    const { signal, stdout = 1, ...rest } = options;
    const child = execa(command, [...args], {
        ...rest,
        stdio: ["inherit", stdout, 2],
        reject: false,
        cleanup: false,
    });
    const passOn = () => {
        if (!process.stdin.isTTY) {
            child.kill("SIGINT");
        }
    };
    signal.addEventListener("abort", passOn);
    const result = await child.finally(() => signal.removeEventListener("abort", passOn));
    if (signal.aborted) {
        throw new Interrupted();
    }
    return result.exitCode ?? killed;
}

function text(output: unknown): string {
    return typeof output === "string" ? output : "";
}

function reasonOf(command: string, exitCode: number, output: string): string {
    if (exitCode === notFound) {
        return `${command} is not installed`;
    }
    const lines = output.split("\n").filter((line) => line.trim());
    return lines.at(-1)?.trim() ?? `${command} ended with code ${exitCode}`;
}
