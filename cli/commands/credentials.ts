import type { Command } from "commander";
import { action, type Handler } from "../action";
import { type Credentials, credentialTable } from "../tables";

/** `carbon credentials`. */
export function addCredentials(program: Command): void {
    program
        .command("credentials")
        .description("show every login with its password, in clear")
        .action(action(credentials));
}

const credentials: Handler<unknown> = async (session) => {
    const outputs = await session.outputs({ showSecrets: true });
    const logins = outputs.credentials as Credentials;
    session.output.result(credentialTable(logins, session.width), logins);
};
