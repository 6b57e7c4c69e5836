import type { Command } from "commander";
import pc from "picocolors";
import { action, type Handler } from "../action";
import { nameOf } from "../docker";
import { exitCodes } from "../errors";
import { serviceNames, stoppedContainers } from "../lifecycle";

/** `carbon drift`. */
export function addDrift(program: Command): void {
    program
        .command("drift")
        .description("compare the stack with what is really there; a preview that expects no changes")
        .action(action(drift));
}

const drift: Handler<unknown> = async (session) => {
    const settings = session.settings();
    const stopped = await stoppedContainers(session);
    if (stopped.length > 0) {
        const names = serviceNames(stopped);
        session.output.result(
            `${pc.yellow("Stopped:")} ${names}. \`./carbon start${session.stackFlag()}\` starts them; then the rest can be compared.`,
            { stack: session.stack, clean: false, stopped: stopped.map(nameOf) },
        );
        return exitCodes.drift;
    }
    const engine = await session.announcedEngine();
    const { clean, changes, differences } = await engine.drift(session.request(settings));
    const text = clean
        ? `${pc.green("No drift:")} the stack ${session.stack} is what it was deployed as.`
        : `${pc.red("Drift:")} what differs is listed above. \`./carbon up${session.stackFlag()}\` puts it right.`;
    session.output.result(text, { stack: session.stack, engine: engine.name, clean, changes, differences });
    return clean ? 0 : exitCodes.drift;
};
