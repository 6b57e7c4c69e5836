/** How to run a program. */
export interface ProcessOptions {
    cwd?: string;
    /** Added to this process's environment; `undefined` takes a variable away. */
    env?: NodeJS.ProcessEnv;
    /** Stops the program when it aborts: SIGTERM, and SIGKILL five seconds later. */
    cancelSignal?: AbortSignal;
    /** Standard input; default none. */
    input?: string;
    /** Milliseconds after which the program is stopped; default never. */
    timeout?: number;
    /** Characters of a stream after which the program is stopped; default 100 million. */
    maxBuffer?: number;
    /** Takes each line of both streams as it comes; nothing is kept then. */
    onLine?(line: string): void;
}

/** How a program ended. */
export interface ProcessResult {
    /** 127 when there is no such program, as shells have it; 128 when a signal ended it. */
    exitCode: number;
    stdout: string;
    stderr: string;
    /** What to tell the user of a failure: the last line of stderr, or else of stdout. */
    reason: string;
    /** There is no such program; a shell's exit code of 127 says something else. */
    missing: boolean;
    /** `cancelSignal` stopped it. */
    stopped: boolean;
}

/** Runs a program to its end. It never throws for an exit code. */
export async function runProcess(
    command: string,
    args: readonly string[],
    { input, onLine, ...options }: ProcessOptions = {},
): Promise<ProcessResult> {
    // execa is an ES module; import() loads it in every runner, require() does not.
    const { execa } = await import("execa");
    const child = execa(command, [...args], {
        ...options,
        ...(input === undefined ? { stdin: "ignore" as const } : { input }),
        all: true,
        buffer: onLine === undefined,
        reject: false,
    });
    if (onLine) {
        for await (const line of child.iterable({ from: "all" })) {
            onLine(line);
        }
    }
    const { exitCode, stdout = "", stderr = "", isCanceled, code } = await child;
    const missing = code === "ENOENT";
    return {
        exitCode: exitCode ?? (missing ? 127 : 128),
        stdout,
        stderr,
        reason: missing ? `${command} is not installed` : lastWords(command, exitCode, stderr || stdout),
        missing,
        stopped: isCanceled,
    };
}

function lastWords(command: string, exitCode: number | undefined, output: string): string {
    // Docker's command ends what it says with its own exit status at times.
    const lines = output
        .split("\n")
        .map((line) => line.trim())
        .filter((line) => line && !/^exit status \d+$/.test(line));
    return lines.at(-1) ?? `${command} ended with code ${exitCode ?? 128}`;
}
