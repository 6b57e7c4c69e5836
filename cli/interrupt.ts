import pc from "picocolors";
import { exitCodes } from "./errors";

/**
 * A signal that aborts at the first Ctrl-C (or SIGTERM), so that what runs can finish its step and save its state.
 * The second one ends the command at once.
 */
export function interruptSignal(): AbortSignal {
    const controller = new AbortController();
    const interrupt = () => {
        if (controller.signal.aborted) {
            process.exit(exitCodes.interrupted);
        }
        process.stderr.write(`\n${pc.yellow("Stopping.")} Ctrl-C again ends at once, without tidying up.\n`);
        controller.abort();
    };
    process.on("SIGINT", interrupt);
    process.on("SIGTERM", interrupt);
    return controller.signal;
}
