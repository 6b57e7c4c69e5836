import { setTimeout as sleep } from "node:timers/promises";
import { type Command, Option } from "commander";
import pc from "picocolors";
import { action, type Handler } from "../action";
import { exitCodes, messageOf } from "../errors";
import { formatAge } from "../output";
import {
    closeTunnel,
    describeTunnel,
    ensureTunnel,
    HeldTunnel,
    isOpen,
    notedTunnel,
    serverOf,
    wantedForwards,
} from "../server/tunnel";
import type { Session } from "../session";

interface TunnelFlags {
    background: boolean;
    stop: boolean;
    status: boolean;
}

/** Between two attempts to connect anew. */
const pauseMilliseconds = 5_000;
/** What the network says, and time may mend. */
const passing = /does not answer/;

/** `carbon tunnel`. */
export function addTunnel(program: Command): void {
    program
        .command("tunnel")
        .description("bring the ports of a stack that lives on a server to the same ones of this machine")
        .addOption(new Option("-b, --background", "return once they answer, and keep them").default(false))
        .addOption(new Option("--stop", "close the tunnel").default(false).conflicts("background"))
        .addOption(
            new Option("--status", "say whether it is open; exit code 0 where it is")
                .default(false)
                .conflicts(["background", "stop"]),
        )
        .action(action(tunnel));
}

const tunnel: Handler<TunnelFlags> = async (session, { background, stop, status }) => {
    // A tunnel outlives a setting that leads elsewhere since: to say so, or to close it, takes no server.
    if (status) {
        return showStatus(session);
    }
    if (stop) {
        const closed = await closeTunnel(session);
        session.output.result(closed ? "The tunnel is closed." : "The tunnel is not open.", {
            stack: session.stack,
            closed,
        });
        return 0;
    }
    return background ? inBackground(session) : inForeground(session);
};

async function showStatus(session: Session): Promise<number> {
    const { output, stack } = session;
    if (!(await isOpen(session))) {
        serverOf(session, "carbon tunnel");
        const advice = `Type: ./carbon tunnel --background${session.stackFlag()}`;
        output.result(`The tunnel is not open. ${advice}`, { stack, open: false });
        return exitCodes.failure;
    }
    const noted = notedTunnel(session);
    const words = noted
        ? `Open for ${formatAge(noted.since, Date.now())}: ${describeTunnel(noted)}`
        : `A tunnel is open, and where it leads is not noted. Type: ./carbon tunnel --stop${session.stackFlag()}`;
    output.result(words, { stack, open: true, ...noted });
    return 0;
}

async function inBackground(session: Session): Promise<number> {
    const { tunnel, opened } = await ensureTunnel(session);
    session.output.result(
        `${opened ? pc.green("Open") : "Open already"}: ${describeTunnel(tunnel)}\nIt closes with: ./carbon tunnel --stop${session.stackFlag()}`,
        { stack: session.stack, opened, ...tunnel },
    );
    return 0;
}

/** Until Ctrl-C. A connection that breaks off is made anew. */
async function inForeground(session: Session): Promise<number> {
    const { output } = session;
    const server = serverOf(session, "carbon tunnel");
    const forwards = await wantedForwards(session);
    let held = await HeldTunnel.open(session, server, forwards);
    output.line(`${pc.green("Open")}: ${describeTunnel(held.tunnel)}. Ctrl-C closes it.`, {
        stack: session.stack,
        ...held.tunnel,
    });
    try {
        for (let reason = await held.end(); reason !== undefined; reason = await held.end()) {
            output.warn(
                `The tunnel broke off. ${reason.replace(/\.?$/, ".")} It is tried again every ${pauseMilliseconds / 1000} s.`,
            );
            const again = await reopen(session, held);
            if (!again) {
                break;
            }
            held = again;
            output.warn("The tunnel is open again.");
        }
    } finally {
        held.forget();
    }
    // At Ctrl-C whoever typed it knows.
    if (!session.signal.aborted) {
        output.line("The tunnel was closed by another command.", { stack: session.stack, closed: true });
    }
    return 0;
}

/** @returns undefined at Ctrl-C, or where another command has closed the tunnel. */
async function reopen(session: Session, held: HeldTunnel): Promise<HeldTunnel | undefined> {
    while (!session.signal.aborted) {
        try {
            return await held.reopen();
        } catch (error) {
            if (session.signal.aborted) {
                return undefined;
            }
            // A key that has changed does not change back.
            if (!passing.test(messageOf(error))) {
                throw error;
            }
        }
        await sleep(pauseMilliseconds, undefined, { signal: session.signal }).catch(() => {});
    }
    return undefined;
}
