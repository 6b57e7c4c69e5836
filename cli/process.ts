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
