import type { Command } from "commander";
import { action, type Handler } from "../action";
import { secretOutputs } from "../documents";
import { fingerprintBlock, readFingerprints } from "../fingerprints";
import { credentialTable } from "../tables";
import { addRotate } from "./rotate";

/** `carbon credentials`. */
export function addCredentials(program: Command): void {
    const command = program
        .command("credentials")
        .description(
            "show every login with its password, in clear, and the fingerprints of certificates and SSH; `credentials rotate` changes passwords",
        )
        .action(action(credentials));
    addRotate(command);
}

const credentials: Handler<unknown> = async (session) => {
    const { credentials: logins, urls } = await session.outputsAs(secretOutputs, { showSecrets: true });
    await session.warnUnlessRunning();
    const fingerprints = await readFingerprints(session.stack);
    const block = fingerprintBlock(fingerprints);
    session.output.result(
        [credentialTable(logins, { urls, width: session.width }), ...(block ? ["", block] : [])].join("\n"),
        {
            ...logins,
            ...(block ? { fingerprints } : {}),
        },
    );
};
