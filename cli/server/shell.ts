import { type Server, sshArguments, strictSsh } from "../../settings/server";
import { UserError } from "../errors";
import { run } from "../process";
import { explainServer } from "./explain";

/**
 * Runs a script on a server, in a shell that is none of the user's own: that one is told nothing but its name.
 *
 * @returns its standard output.
 * @throws UserError where the server cannot be reached, or the script fails, with its last words.
 */
export async function onServer(server: Server, script: string): Promise<string> {
    const args = [...strictSsh, "-T", ...sshArguments(server), "sh", "-s"];
    const { exitCode, stdout, stderr, reason } = await run("ssh", args, { input: script, timeout: 60_000 });
    // ssh's own, see its manual.
    if (exitCode === 255) {
        throw new UserError(explainServer(stderr, server));
    }
    if (exitCode !== 0) {
        throw new UserError(`On ${server.host}: ${reason}`);
    }
    return stdout;
}
