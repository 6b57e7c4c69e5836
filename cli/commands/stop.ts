import type { Command } from "commander";
import { action, type Handler } from "../action";
import { ensureNotRestoring } from "../backup/journal";
import { stackContainers } from "../docker";
import { UserError } from "../errors";
import { hasRun, serviceNames, startStack, stopStack } from "../lifecycle";
import { plural } from "../output";
import { ensureUnlocked } from "../stackState";
import { startServices, stopServices } from "../swarm/lifecycle";

/** `carbon stop` and `carbon start`. */
export function addStop(program: Command): void {
    program
        .command("stop")
        .description("stop the stack's containers as they are; start starts them again, up does so too")
        .action(action(stop));
    program
        .command("start")
        .description("start the containers that are stopped, in order, and wait until all are healthy")
        .action(action(start));
}

const stop: Handler<unknown> = async (session) => {
    ensureUnlocked(session);
    const containers = await stackContainers(session.stack);
    // Before what they need.
    const workers = await stopServices(session);
    const stopped = [...workers, ...(await stopStack(session, containers))];
    const words =
        containers.length === 0
            ? await session.whyNothingRuns()
            : stopped.length === 0
              ? `The stack ${session.stack} is stopped already.`
              : `Stopped ${plural(stopped.length, "container")}; \`./carbon start${session.stackFlag()}\` starts them again.`;
    session.output.result(words, { stack: session.stack, stopped });
};

const start: Handler<unknown> = async (session) => {
    ensureUnlocked(session);
    ensureNotRestoring(session);
    const containers = await stackContainers(session.stack);
    if (containers.length === 0) {
        throw new UserError(await session.whyNothingRuns());
    }
    const unborn = containers.filter((container) => !hasRun(container));
    if (unborn.length > 0) {
        throw new UserError(
            `Never started: ${serviceNames(unborn)}. What made it was cut off, so it may lack files. ` +
                `Type: ./carbon up${session.stackFlag()}`,
        );
    }
    const own = await startStack(session, containers);
    const started = [...own, ...(await startServices(session))];
    const words =
        started.length === 0
            ? `The stack ${session.stack} runs already.`
            : `Started ${plural(started.length, "container")}.`;
    session.output.result(words, { stack: session.stack, started });
};
