import type { Command } from "commander";
import { stringify } from "yaml";
import { action, type Handler } from "../action";

interface OutputFlags {
    showSecrets: boolean;
}

/** `carbon outputs`. */
export function addOutputs(program: Command): void {
    program
        .command("outputs")
        .description("show what the stack puts out: addresses, images, containers, the check's result")
        .option("--show-secrets", "show passwords in clear instead of [secret]", false)
        .action(action(outputs));
}

const outputs: Handler<OutputFlags> = async (session, { showSecrets }) => {
    const values = await session.outputs({ showSecrets });
    await session.warnUnlessRunning();
    session.output.result(stringify(values, { lineWidth: 0 }).trimEnd(), values);
};
