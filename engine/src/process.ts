/** How to run a program. */
export interface ProcessOptions {
    cwd?: string;
    /** The whole environment; nothing is added. */
    env: NodeJS.ProcessEnv;
    /** Stops the program: SIGTERM, and SIGKILL some seconds later. */
    signal?: AbortSignal;
    /** Standard input; default empty. */
    input?: string;
    /** Takes each line of both streams as it comes; nothing is kept then. */
    onLine?(line: string): void;
}

export interface ProcessResult {
    succeeded: boolean;
    /** Undefined when a signal ended the program or it could not be started. */
    exitCode: number | undefined;
    stdout: string;
    stderr: string;
    /** `signal` stopped it. */
    stopped: boolean;
    /** There is no such program. */
    missing: boolean;
}

const KILL_AFTER_MS = 5000;

/** Runs a program to its end. It never throws for an exit code. */
export async function runProcess(
    command: string,
    args: string[],
    options: ProcessOptions,
): Promise<ProcessResult> {
    // execa is an ES module; import() loads it in every runner, require() does not.
    const { execa } = await import("execa");
    const { cwd, env, signal, input = "", onLine } = options;
    const child = execa(command, args, {
        cwd,
        env,
        extendEnv: false,
        input,
        cancelSignal: signal,
        forceKillAfterDelay: KILL_AFTER_MS,
        all: true,
        buffer: onLine === undefined,
        reject: false,
    });
    if (onLine) {
        for await (const line of child.iterable({ from: "all" })) {
            onLine(line);
        }
    }
    const { failed, exitCode, stdout, stderr, isCanceled, code } = await child;
    return {
        succeeded: !failed,
        exitCode,
        stdout: stdout ?? "",
        stderr: stderr ?? "",
        stopped: isCanceled,
        missing: code === "ENOENT",
    };
}
