import { EngineError } from "@carbon/engine";
import type { Command } from "commander";
import { HostError } from "../host/error";
import { SettingsError } from "../settings/parse";
import { Declined, exitCodes, Interrupted, messageOf, UserError } from "./errors";
import { interruptSignal } from "./interrupt";
import type { CommonOptions } from "./options";
import { printError } from "./output";
import { printable, printableJson } from "./printable";
import { Session } from "./session";

/** What a command does; a number that it returns is the exit code. */
export type Handler<Options> = (
    session: Session,
    options: Options,
    args: string[],
) => Promise<number | undefined> | Promise<void>;

/** Makes a commander action of a handler: sets up its session, and turns what it throws into words and a code. */
export function action<Options>(handler: Handler<Options>) {
    return async function (this: Command): Promise<void> {
        const options = this.optsWithGlobals<CommonOptions & Options>();
        const signal = interruptSignal();
        try {
            const session = new Session(options, signal);
            process.exitCode = (await handler(session, options, this.args)) ?? 0;
        } catch (error) {
            process.exitCode = report(signal.aborted ? interruption(error) : error, options.json);
        }
    };
}

/** What fails after a Ctrl-C fails because of it. The engine knows best what has become of the deployment. */
function interruption(error: unknown): Interrupted {
    return new Interrupted(error instanceof EngineError ? error.message : undefined);
}

/** Says what went wrong, and returns the exit code. */
export function report(error: unknown, json: boolean): number {
    const full = diskIsFull(error);
    const known =
        full || [UserError, EngineError, SettingsError, HostError].some((kind) => error instanceof kind);
    if (error instanceof Declined) {
        process.stderr.write(`${printable(error.message)}\n`);
    } else {
        printError(messageOf(error));
    }
    if (full) {
        process.stderr.write(
            "The disk is full: `docker system df` shows what Docker keeps, `docker builder prune --all` drops its build " +
                "cache. Then type the same command again; it goes on where this one stopped.\n",
        );
    }
    if (json) {
        process.stdout.write(`${printableJson({ error: messageOf(error) })}\n`);
    }
    if (process.env.CARBON_DEBUG && error instanceof Error) {
        process.stderr.write(`${printable(error.stack ?? "")}\n`);
    } else if (!known) {
        process.stderr.write("This was not expected. CARBON_DEBUG=1 shows where it happened.\n");
    }
    return error instanceof UserError ? error.exitCode : exitCodes.failure;
}

/** Whether it is for want of disk, of this process or of a program whose output the message quotes. */
function diskIsFull(error: unknown): boolean {
    return /\bENOSPC\b|no space left on device/i.test(messageOf(error));
}
