import type { Command } from "commander";
import { action, type Handler } from "../action";
import { confirm, ensureAnswerable } from "../confirm";
import { UserError } from "../errors";
import { type Generation, readGenerations, refsOf, tagOf } from "../generations";
import { formatDuration } from "../output";
import type { Session } from "../session";
import { describeChanges } from "../summary";
import { goBack, howToGoOn } from "../upgrade";

/** `carbon rollback`. */
export function addRollback(program: Command): void {
    program
        .command("rollback")
        .description(
            "put the images back that ran before the last upgrade, with their containers; data stays",
        )
        .action(action(rollback));
}

const rollback: Handler<unknown> = async (session) => {
    ensureAnswerable(session, "rollback");
    const started = Date.now();
    (await session.engine()).ensureFree(session);
    const target = wayBack(session);
    const images = Object.values(refsOf(target)).map(tagOf);
    const engine = await session.announcedEngine();
    await confirm(
        session,
        `Put the images of ${target.at} back into the stack ${session.stack} (${images.join(", ")})? Data stays as it is.`,
    );
    const { changes } = await goBack(session, engine, target);
    const milliseconds = Date.now() - started;
    session.output.result(
        [
            `The images of ${target.at} are back in ${formatDuration(milliseconds)}${changes ? `: ${describeChanges(changes)}` : ""}.`,
            howToGoOn(session),
        ].join("\n"),
        {
            stack: session.stack,
            engine: engine.name,
            seconds: milliseconds / 1000,
            changes,
            images: refsOf(target),
        },
    );
};

/** What ran before an upgrade that did not end well, or before the last one that did. */
function wayBack({ project, stack }: Session): Generation {
    const { current, previous, attempt } = readGenerations(project, stack);
    const target = attempt ? current : previous;
    if (!target) {
        throw new UserError(`There is nothing to go back to: the stack ${stack} has had no other images.`);
    }
    return target;
}
