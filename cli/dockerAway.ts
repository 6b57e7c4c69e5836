import { serverName } from "../settings/server";
import { dockerInfo } from "./docker";
import { messageOf, UserError } from "./errors";
import { printableLine } from "./printable";
import { currentServer } from "./server/reach";
import { stackFlag } from "./stackFlag";

/** What engines and Docker's own command say where the connection to the daemon breaks, or cannot be made. */
const broken =
    /ECONNRESET|ECONNREFUSED|EPIPE|socket hang up|Docker Engine cannot be reached|cannot connect to the docker daemon|error during connect|command \[ssh|error reading from server|transport is closing/i;

/**
 * Tells a failure for want of Docker from any other: Docker does not answer now, or broke off and is back.
 *
 * @param command The `carbon` command that goes on where this one stopped.
 * @throws UserError saying so and what to type.
 */
export async function ensureDockerStayed(error: unknown, command: string, stack: string): Promise<void> {
    const away = await dockerInfo().then(() => undefined, messageOf);
    const reason = away ?? (broken.test(messageOf(error)) ? messageOf(error) : undefined);
    if (reason === undefined) {
        return;
    }
    const again = `./carbon ${command}${stackFlag(stack)}. It goes on where this one stopped.`;
    const server = currentServer();
    if (server) {
        // What is said of a server that is away is a sentence with what to do.
        throw new UserError(
            `The connection to ${serverName(server)} broke off in the middle. ${away ? `${away} ` : ""}Once it is back, type: ${again}`,
        );
    }
    const start = process.platform === "darwin" ? "Start Docker Desktop" : "Start it (make setup does so)";
    throw new UserError(
        `Docker went away in the middle (${printableLine(reason).replace(/\.$/, "")}). ${start}, then type: ${again}`,
    );
}
