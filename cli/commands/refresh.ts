import type { Command } from "commander";
import { action, type Handler } from "../action";
import { ensureNoneStopped } from "../lifecycle";
import { describeChanges } from "../summary";

/** `carbon refresh`. */
export function addRefresh(program: Command): void {
    program
        .command("refresh")
        .description("bring the stack's state up to date with what is really there, and change nothing there")
        .action(action(refresh));
}

const refresh: Handler<unknown> = async (session) => {
    const settings = session.settings();
    await ensureNoneStopped(session);
    const engine = await session.announcedEngine();
    const { changes } = await engine.refresh(session.request(settings));
    session.output.result(`The state of ${session.stack} is up to date: ${describeChanges(changes ?? {})}.`, {
        stack: session.stack,
        engine: engine.name,
        changes,
    });
};
