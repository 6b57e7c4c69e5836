import { constants } from "node:os";
import { execa, type Options } from "execa";
import { Interrupted } from "./errors";

export { type ProcessResult, runProcess as run } from "@carbon/engine";

/**
 * Runs a program that shares the terminal with its user, and returns its exit code. A terminal hands Ctrl-C to
 * the program as well; without one, or for another signal, it is passed on here. It is never killed: it knows
 * best how to leave its state in order.
 *
 * @param stdout Where its standard output goes: file descriptor 1, or 2 to keep 1 free for a document.
 * @returns its exit code; 128 when a signal ended it.
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
    return result.exitCode ?? 128;
}

/**
 * Runs a program that has this command's terminal to itself, as if its user had started it. Signals are passed on; those
 * that a terminal sends to both are not sent twice.
 *
 * @returns its exit code, or 128 and the signal's number where one ended it, as shells count.
 */
export async function shareTerminal(
    command: string,
    args: readonly string[],
    options: Options,
): Promise<number> {
    const child = execa(command, [...args], { ...options, stdio: "inherit", reject: false, cleanup: false });
    process.on("SIGINT", () => !process.stdin.isTTY && child.kill("SIGINT"));
    process.on("SIGTERM", () => child.kill("SIGTERM"));
    process.on("SIGHUP", () => child.kill("SIGHUP"));
    const { exitCode, signal } = await child;
    return exitCode ?? 128 + (signal ? constants.signals[signal] : 0);
}
