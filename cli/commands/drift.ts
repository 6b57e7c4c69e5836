import type { Command } from "commander";
import pc from "picocolors";
import { action, type Handler } from "../action";
import { exitCodes } from "../errors";

/** `carbon drift`. */
export function addDrift(program: Command): void {
    program
        .command("drift")
        .description("compare the stack with what is really there; a preview that expects no changes")
        .action(action(drift));
}

const drift: Handler<unknown> = async (session) => {
    const settings = session.settings();
    const engine = await session.announcedEngine();
    const { clean, changes, differences } = await engine.drift(session.request(settings));
    const text = clean
        ? `${pc.green("No drift:")} the stack ${session.stack} is what it was deployed as.`
        : `${pc.red("Drift:")} what differs is listed above. \`./carbon up${session.stackFlag()}\` puts it right.`;
    session.output.result(text, { stack: session.stack, engine: engine.name, clean, changes, differences });
    return clean ? 0 : exitCodes.drift;
};
