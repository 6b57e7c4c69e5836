import { setTimeout as sleep } from "node:timers/promises";
import type Docker from "dockerode";
import { attempt } from "../docker/calls";
import { EngineError } from "../engine-error";
import type { Props } from "../values";
import { type Context, objects } from "./driver";

const POLL_MS = 500;
const LOG_LINES = 30;

/**
 * Waits, where the inputs ask for it, until the container is healthy.
 * @throws EngineError when it exits, when it does not get healthy within `waitTimeout` seconds, or when it has no
 * health check at all; with its last health output and the end of its log.
 */
export async function waitHealthy(made: Docker.Container, inputs: Props, context: Context): Promise<void> {
    const deadline = Date.now() + Number(inputs.waitTimeout ?? 60) * 1000;
    for (let first = true; ; first = false) {
        const { State: state } = await attempt(`The container ${inputs.name} cannot be inspected`, () =>
            made.inspect(),
        );
        if (!state.Running && inputs.mustRun !== false) {
            throw new EngineError(await complain(made, inputs, `exited with code ${state.ExitCode}`));
        }
        if (inputs.wait !== true || state.Health?.Status === "healthy") {
            return;
        }
        if (!state.Health && first) {
            throw new EngineError(
                `The container ${inputs.name} has "wait" but no health check: give it one.`,
            );
        }
        const said = state.Health?.Log?.at(-1)?.Output?.trim();
        if (Date.now() > deadline) {
            const why = `did not become healthy within ${inputs.waitTimeout} seconds${said ? ` (${said})` : ""}`;
            throw new EngineError(await complain(made, inputs, why));
        }
        if (context.signal.aborted) {
            throw new EngineError(`Waiting for the container ${inputs.name} was interrupted.`);
        }
        context.progress(
            said ? `waiting to become healthy: ${said.split("\n").at(-1)}` : "waiting to become healthy",
        );
        await sleep(POLL_MS);
    }
}

/** A sentence with the end of the container's log, without the contents of its secret files. */
async function complain(made: Docker.Container, inputs: Props, what: string): Promise<string> {
    const log = await attempt("The log cannot be read", () =>
        made.logs({ stdout: true, stderr: true, tail: LOG_LINES }),
    );
    const secrets = objects(inputs, "uploads")
        .map(({ content }) => String(content).trim())
        .filter((content) => content.length > 3);
    const text = secrets.reduce((clean, secret) => clean.replaceAll(secret, "[secret]"), demultiplex(log));
    const tail = text.trimEnd();
    return `The container ${inputs.name} ${what}.${tail ? ` The end of its log:\n${tail}` : " Its log is empty."}`;
}

/** Docker frames each piece of a log: one byte for the stream, three empty, four of length. */
function demultiplex(log: Buffer): string {
    const pieces: Buffer[] = [];
    for (let at = 0; at + 8 <= log.length; ) {
        const length = log.readUInt32BE(at + 4);
        pieces.push(log.subarray(at + 8, at + 8 + length));
        at += 8 + length;
    }
    return Buffer.concat(pieces).toString("utf8");
}
