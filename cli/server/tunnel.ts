import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { isIP } from "node:net";
import { constants } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { writeWhole } from "@carbon/engine";
import { z } from "zod";
import type { Settings } from "../../settings/parse";
import { type Server, serverName, sshArguments, strictSsh } from "../../settings/server";
import { stackContainers } from "../docker";
import { type ContainerDetails, parseDocument } from "../documents";
import { UserError } from "../errors";
import { plural } from "../output";
import { whyNotFree } from "../preflight/ports";
import { run } from "../process";
import { ownFile } from "../project";
import { quoted } from "../quoted";
import type { Session } from "../session";
import { whileTunnelling } from "../stackState";
import { explainServer } from "./explain";
import { controlSocket, currentServer, ownSsh } from "./reach";

const forward = z.object({ address: z.string(), port: z.number(), there: z.string() });
/**
 * What a tunnel that was opened forwards, and where to; whether it is still open, ssh says. Whoever closes a tunnel removes
 * the note, by which a command that holds it knows that it is not to open it again.
 */
const tunnelFile = z.object({
    server: z.string(),
    sshPort: z.number().optional(),
    since: z.string(),
    forwards: z.array(forward),
});

/** A port of the server's, which answers here at the same one. */
export type Forward = z.infer<typeof forward>;
export type Tunnel = z.infer<typeof tunnelFile>;

/** Docker's words for every address. */
const everyAddress: Record<string, string> = { "0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1" };

/** Ends a connection that has been silent for so long, which else nobody would notice. */
const alive = ["-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=3"];

/**
 * The server that the stack lives on.
 *
 * @throws UserError where it lives on this machine, or on one that ssh does not lead to.
 */
export function serverOf(session: Session, command: string): Server {
    const server = currentServer();
    if (!server) {
        throw new UserError(
            `The stack ${session.stack} does not live on a server that is reached over SSH, so there is nothing for \`${command}\` to do. carbon:dockerContext says where it lives.`,
        );
    }
    return server;
}

/**
 * What every running container of a stack publishes, each port once. It is the server that says so: of this machine it
 * gets a loopback address, and the ports that are the stack's by its settings.
 */
export function forwardsOf(
    containers: readonly ContainerDetails[],
    { ports, appPorts }: Pick<Settings, "ports" | "appPorts">,
): Forward[] {
    const own = [...Object.values(ports), ...appPorts.map(({ published }) => published)];
    const bindings = containers
        .flatMap(({ NetworkSettings }) => Object.values(NetworkSettings.Ports))
        .flatMap((all) => all ?? []);
    const forwards = bindings
        .map(({ HostIp, HostPort }) => {
            const there = everyAddress[HostIp] ?? HostIp;
            const isLoopback = there.startsWith("127.") || there === "::1";
            return { address: isLoopback ? there : "127.0.0.1", port: Number(HostPort), there };
        })
        .filter(({ port, there }) => own.includes(port) && isIP(there) !== 0);
    // An engine publishes to every address of both kinds: the first is enough.
    const first = new Map([...forwards].reverse().map((one) => [one.port, one]));
    return [...first.values()].sort((one, other) => one.port - other.port);
}

/** Whether a tunnel of the stack's is open, wherever it leads and whether or not anybody has noted it. */
export async function isOpen(session: Session): Promise<boolean> {
    const socket = socketOf(session);
    return socket !== undefined && existsSync(socket) && (await ask(socket, "check"));
}

/** What the last tunnel that was opened, and that nobody has closed, was opened for. */
export function notedTunnel(session: Session): Tunnel | undefined {
    const file = tunnelPath(session);
    return existsSync(file)
        ? parseDocument(file, tunnelFile, readFileSync(file, "utf8"), `Remove it: rm ${quoted(file)}`)
        : undefined;
}

/** The stack's tunnel, where one is open to the server that the stack lives on; undefined else. */
export async function openTunnel(session: Session): Promise<Tunnel | undefined> {
    const server = currentServer();
    const tunnel = (await isOpen(session)) ? notedTunnel(session) : undefined;
    const isThere = server && tunnel?.server === serverName(server) && tunnel.sshPort === server.port;
    return isThere ? tunnel : undefined;
}

/** Whether a tunnel leads to all of the ports. */
export function leadsTo(tunnel: Tunnel, forwards: readonly Forward[]): boolean {
    const has = ({ port, there }: Forward) =>
        tunnel.forwards.some((one) => one.port === port && one.there === there);
    return forwards.every(has);
}

/**
 * What the tunnel is to forward now.
 *
 * @throws UserError where nothing runs.
 */
export async function wantedForwards(session: Session): Promise<Forward[]> {
    const forwards = forwardsOf(await stackContainers(session.stack), session.settings());
    if (forwards.length === 0) {
        await session.warnUnlessRunning();
        throw new UserError(
            `No container of the stack ${session.stack} runs that has a port of its settings to forward. Where they were changed since, type: ./carbon up${session.stackFlag()}`,
        );
    }
    return forwards;
}

/**
 * Opens the tunnel in the background, or leaves one that leads everywhere.
 *
 * @returns the tunnel, and whether it was opened now.
 */
export async function ensureTunnel(session: Session): Promise<{ tunnel: Tunnel; opened: boolean }> {
    const server = serverOf(session, "carbon tunnel");
    const forwards = await wantedForwards(session);
    return whileTunnelling(session, async () => {
        const open = await openTunnel(session);
        if (open && leadsTo(open, forwards)) {
            return { tunnel: open, opened: false };
        }
        await close(session);
        await ensureFree(forwards);
        // With -f it returns once it forwards.
        const args = ["-f", ...sshCommand(session, server, forwards)];
        const { exitCode } = await run(ownSsh(), args, { timeout: 60_000 });
        if (exitCode !== 0) {
            throw new UserError(explainTunnel(session, server));
        }
        return { tunnel: await noteTunnel(session, server, forwards), opened: true };
    });
}

/** Closes the tunnel, wherever it leads. @returns whether one was open. */
export async function closeTunnel(session: Session): Promise<boolean> {
    return whileTunnelling(session, () => close(session));
}

async function close(session: Session): Promise<boolean> {
    const found = await isOpen(session);
    const socket = socketOf(session);
    // First: who holds it looks there as soon as it ends.
    rmSync(tunnelPath(session), { force: true });
    if (socket && found) {
        await ask(socket, "exit");
        // It answers before it ends, and has its ports until then.
        for (const end = Date.now() + 10_000; await isOpen(session); await sleep(50)) {
            if (Date.now() > end) {
                throw new UserError(
                    `The tunnel does not close. Type \`lsof ${quoted(socket)}\` to see which ssh it is, and end that one with kill.`,
                );
            }
        }
    }
    if (socket) {
        // What a killed one has left would keep the next from its place.
        rmSync(socket, { force: true });
    }
    return found;
}

/** Whatever the user's configuration of ssh holds, and whichever server it leads to: the socket alone decides. */
async function ask(socket: string, what: "check" | "exit"): Promise<boolean> {
    const args = ["-F", "none", "-S", socket, "-O", what, "--", "tunnel"];
    return (await run(ownSsh(), args)).exitCode === 0;
}

/** A tunnel that ends with this command. */
export class HeldTunnel {
    private constructor(
        private readonly session: Session,
        private readonly server: Server,
        private readonly child: ChildProcess,
        private readonly ended: Promise<void>,
        readonly tunnel: Tunnel,
    ) {}

    /**
     * Opens it in place of one that is open.
     *
     * @throws UserError with the reason where it cannot be opened.
     */
    static open(session: Session, server: Server, forwards: Forward[]): Promise<HeldTunnel> {
        return whileTunnelling(session, async () => {
            await close(session);
            await ensureFree(forwards);
            return HeldTunnel.start(session, server, forwards);
        });
    }

    /**
     * Opens it again once it has ended.
     *
     * @returns undefined where another command has closed it meanwhile, or opened another one.
     * @throws UserError with the reason where it cannot be opened.
     */
    reopen(): Promise<HeldTunnel | undefined> {
        const { session, server, tunnel } = this;
        return whileTunnelling(session, async () => {
            if (!this.isNoted() || (await isOpen(session))) {
                return undefined;
            }
            rmSync(socketOf(session) ?? "", { force: true });
            return HeldTunnel.start(session, server, tunnel.forwards);
        });
    }

    private static async start(session: Session, server: Server, forwards: Forward[]): Promise<HeldTunnel> {
        const child = spawn(ownSsh(), sshCommand(session, server, forwards), {
            stdio: "ignore",
            detached: true,
        });
        let isOver = false;
        const ended = new Promise<void>((resolve) => {
            const end = () => {
                isOver = true;
                resolve();
            };
            child.once("error", end);
            child.once("exit", end);
        });
        // A window that is closed takes this command with it at once, and not what it has detached.
        const hangUp = () => {
            child.kill();
            rmSync(tunnelPath(session), { force: true });
            process.exit(128 + constants.signals.SIGHUP);
        };
        process.once("SIGHUP", hangUp);
        void ended.then(() => process.off("SIGHUP", hangUp));
        while (!isOver && !(await isOpen(session))) {
            await Promise.race([sleep(100), ended]);
            if (session.signal.aborted) {
                child.kill();
            }
        }
        if (isOver) {
            throw new UserError(explainTunnel(session, server));
        }
        const tunnel = await noteTunnel(session, server, forwards);
        return new HeldTunnel(session, server, child, ended, tunnel);
    }

    /** Waits for its end. @returns why it broke off; undefined at Ctrl-C, or where another command has closed it. */
    async end(): Promise<string | undefined> {
        const { signal } = this.session;
        const stop = () => this.child.kill();
        signal.addEventListener("abort", stop);
        if (signal.aborted) {
            stop();
        }
        await this.ended;
        signal.removeEventListener("abort", stop);
        return signal.aborted || !this.isNoted() ? undefined : explainTunnel(this.session, this.server);
    }

    /** Has nobody take it for one that is to be opened again. */
    forget(): void {
        if (this.isNoted()) {
            rmSync(tunnelPath(this.session), { force: true });
        }
    }

    private isNoted(): boolean {
        return notedTunnel(this.session)?.since === this.tunnel.since;
    }
}

/** `4 ports of ada@server: 2222, 5900, …`. */
export function describeTunnel({ server, forwards }: Pick<Tunnel, "server" | "forwards">): string {
    return `${plural(forwards.length, "port")} of ${server}: ${forwards.map(({ port }) => port).join(", ")}`;
}

/**
 * Names every port that another program has already.
 *
 * @throws UserError where there is one.
 */
export async function ensureFree(forwards: readonly Forward[]): Promise<void> {
    const reasons = await Promise.all(forwards.map(({ address, port }) => whyNotFree(address, port)));
    const taken = forwards.filter((_, index) => reasons[index]).map(({ port }) => port);
    if (taken.length > 0) {
        const one = taken.length === 1;
        throw new UserError(
            `The port${one ? "" : "s"} ${taken.join(", ")} of this machine ${one ? "is" : "are"} taken by another program. ` +
                `Type \`lsof -nP -iTCP:${taken[0]} -sTCP:LISTEN\` to see by what. Free ${one ? "it" : "them"}, or set carbon:portOffset to move the stack's.`,
        );
    }
}

function sshCommand(session: Session, server: Server, forwards: readonly Forward[]): string[] {
    const inBrackets = (address: string) => (address.includes(":") ? `[${address}]` : address);
    return [
        ...["-N", "-T", "-M", "-S", ensureSocket(session), "-E", logPath(session)],
        ...["-o", "ExitOnForwardFailure=yes", "-o", "ControlPersist=no", ...alive, ...strictSsh],
        ...forwards.flatMap(({ address, port, there }) => [
            "-L",
            `${inBrackets(address)}:${port}:${inBrackets(there)}:${port}`,
        ]),
        ...sshArguments(server),
    ];
}

/** Undefined where the path would be too long for ssh, so that no tunnel can be open. */
function socketOf({ project, stack }: Session): string | undefined {
    const name = createHash("sha256").update(`${project.dir}\0${stack}`).digest("hex").slice(0, 12);
    return controlSocket(`tunnel-${name}`);
}

function ensureSocket(session: Session): string {
    const file = socketOf(session);
    if (!file) {
        throw new UserError(
            "The path of your home folder is too long for ssh's socket in it. Set HOME to a shorter one.",
        );
    }
    return file;
}

function tunnelPath({ project, stack }: Session): string {
    return ownFile(project, `tunnel-${stack}.json`);
}

function logPath({ project, stack }: Session): string {
    return ownFile(project, `tunnel-${stack}.log`);
}

async function noteTunnel(session: Session, server: Server, forwards: Forward[]): Promise<Tunnel> {
    const since = new Date().toISOString();
    const tunnel = { server: serverName(server), sshPort: server.port, since, forwards };
    await writeWhole(tunnelPath(session), JSON.stringify(tunnel));
    return tunnel;
}

/** By what ssh has written down. */
function explainTunnel(session: Session, server: Server): string {
    const file = logPath(session);
    const said = existsSync(file) ? readFileSync(file, "utf8") : "";
    rmSync(file, { force: true });
    const [, port] = /(?:cannot listen to port: |bind \[\S+\]:)(\d+)/.exec(said) ?? [];
    return port
        ? `The port ${port} of this machine is taken by another program, or needs root. Set carbon:portOffset to move the stack's.`
        : explainServer(said, server);
}
