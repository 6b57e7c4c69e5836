import type { Command } from "commander";
import { action, type Handler } from "../action";
import { findDrift } from "../drift";
import { describeTakeOver, isTakenOver } from "../drift/others";
import { ensureNoneStopped } from "../lifecycle";

interface PreviewFlags {
    refresh: boolean;
    diff: boolean;
}

/** `carbon preview`. */
export function addPreview(program: Command): void {
    program
        .command("preview")
        .description("show what up would do, and do nothing")
        .option("--refresh", "ask Docker what is really there first", false)
        .option("--diff", "show every property of what is new or differs", false)
        .action(action(preview));
}

const preview: Handler<PreviewFlags> = async (session, { refresh, diff }) => {
    const settings = session.settings();
    if (refresh) {
        await ensureNoneStopped(session);
    }
    const engine = await session.announcedEngine();
    // Where Docker does not answer, the program still says what it would make.
    const found = await findDrift(session, engine).catch(() => undefined);
    if (found && isTakenOver(found)) {
        session.output.note(`With \`up\`: ${describeTakeOver(session, found)}`);
    }
    const { changes } = await engine.preview(session.request(settings), { refresh, diff });
    session.output.result("This was only a preview; nothing was changed.", {
        stack: session.stack,
        engine: engine.name,
        changes,
    });
};
