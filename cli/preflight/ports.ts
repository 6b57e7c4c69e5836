import * as net from "node:net";
import { containerName } from "../../catalogue/names";
import type { Settings } from "../../settings/parse";
import type { Server } from "../../settings/server";
import { type ContainerDetails, lines, nameOf, stackLabel } from "../docker";
import { onServer } from "../server/shell";
import { type Finding, failure, ok } from "./finding";

const probeTimeout = 1000;

/**
 * Whether the stack's ports are free on its bind address. A port that the stack itself holds is its own.
 *
 * @param containers Those that are running now.
 */
export async function checkPorts(
    settings: Settings,
    containers: readonly ContainerDetails[],
): Promise<Finding[]> {
    const { bindAddress, ports, appPorts } = settings;
    const wanted: WantedPort[] = [
        ...Object.entries(ports).map(([name, port]) => ({
            name,
            port,
            address: bindAddress,
            key: "carbon:ports",
        })),
        ...appPorts.map(({ published: port }) => ({
            name: "appPorts",
            port,
            address: "127.0.0.1",
            key: "carbon:appPorts",
        })),
    ];
    const { server } = settings;
    const listening = server ? await listenersOf(server) : [];
    const why = async (address: string, port: number) =>
        server ? whyNotFreeThere(listening, address, port) : whyNotFree(address, port);
    const findings = await Promise.all(wanted.map((port) => checkPort(settings, port, containers, why)));
    const taken = findings.filter((finding) => finding !== undefined);
    const listed = (numbers: number[]) => numbers.sort((one, other) => one - other).join(", ");
    const own = `${listed(Object.values(ports))} on ${bindAddress}`;
    const apps = listed(appPorts.map(({ published }) => published));
    return taken.length > 0 ? taken : [ok("ports", apps ? `${own}; ${apps} for your programs` : own)];
}

/** A port of the host that the stack is to have. */
interface WantedPort {
    /** What it is for, as the message says it. */
    name: string;
    port: number;
    /** Of the host. */
    address: string;
    /** The setting that can move it. */
    key: string;
}

async function checkPort(
    settings: Settings,
    { name, port, address, key }: WantedPort,
    containers: readonly ContainerDetails[],
    why: (address: string, port: number) => Promise<string | undefined>,
): Promise<Finding | undefined> {
    const holder = containers.find((container) => publishes(container, address, port));
    // What has the stack's names is the stack's, or is asked about apart.
    const names = ["workspace", ...settings.services.map((one) => one.name)];
    const isNamesake = names.some((one) => holder && nameOf(holder) === containerName(settings.stack, one));
    if (holder?.Config.Labels[stackLabel] === settings.stack || isNamesake) {
        return undefined;
    }
    const problem = holder ? `is taken by the container ${nameOf(holder)}` : await why(address, port);
    if (!problem) {
        return undefined;
    }
    const find =
        holder || settings.server ? "" : `Type \`lsof -nP -iTCP:${port} -sTCP:LISTEN\` to see by what. `;
    return failure(
        "port",
        `port ${port} (${name}) ${problem}`,
        `${find}Free it, or set ${key} or carbon:portOffset in Pulumi.${settings.stack}.yaml.`,
    );
}

function publishes(container: ContainerDetails, address: string, port: number): boolean {
    return Object.values(container.NetworkSettings.Ports)
        .flatMap((bindings) => bindings ?? [])
        .some(({ HostIp, HostPort }) => Number(HostPort) === port && overlap(HostIp, address));
}

/** A socket that a server listens on. */
interface Listener {
    address: string;
    port: number;
}

/** Those that listen on a server; none where it does not say. */
async function listenersOf(server: Server): Promise<Listener[]> {
    // Where there is no IPv6, the second is not there.
    const said = await onServer(server, "cat /proc/net/tcp /proc/net/tcp6 2>/dev/null || true\n").catch(
        () => "",
    );
    return lines(said).flatMap(listener);
}

/** See proc_net_tcp(5): address and port in hexadecimal, each four bytes of the address the wrong way round; 0A is LISTEN. */
export function listener(line: string): Listener[] {
    const [, hex, port] = /^\s*\d+: ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) \S+ 0A /.exec(line) ?? [];
    if (!hex || !port) {
        return [];
    }
    const word = hex.slice(-8);
    const bytes = [6, 4, 2, 0].map((at) => Number.parseInt(word.slice(at, at + 2), 16));
    const ipv6 = { ["0".repeat(32)]: "::", [`${"0".repeat(24)}01000000`]: "::1" }[hex];
    const address = hex.length === 8 ? bytes.join(".") : (ipv6 ?? hex);
    return [{ address, port: Number.parseInt(port, 16) }];
}

function whyNotFreeThere(listening: readonly Listener[], address: string, port: number): string | undefined {
    return listening.some((one) => one.port === port && overlap(one.address, address))
        ? "is taken by another program of the server's (`ss -ltnp` there shows by what)"
        : undefined;
}

function overlap(one: string, other: string): boolean {
    const wildcards = ["0.0.0.0", "::", ""];
    return one === other || wildcards.includes(one) || wildcards.includes(other);
}

/** Why a server could not listen there; undefined when it could. */
export async function whyNotFree(address: string, port: number): Promise<string | undefined> {
    const code = await tryToListen(address, port);
    if (code === "EADDRNOTAVAIL") {
        return `cannot be opened: ${address} is not an address of this machine`;
    }
    // macOS lets two programs listen on one port as long as one of them does so on every address.
    return code === "EADDRINUSE" || (await answers(address, port))
        ? "is taken by another program"
        : undefined;
}

/** The error's code. A port that needs root (EACCES) counts as free: the engine opens it, not this process. */
function tryToListen(address: string, port: number): Promise<string | undefined> {
    return new Promise((resolve) => {
        const server = net.createServer();
        server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code));
        server.listen({ host: address, port, exclusive: true }, () => server.close(() => resolve(undefined)));
    });
}

function answers(address: string, port: number): Promise<boolean> {
    const host = address === "0.0.0.0" ? "127.0.0.1" : address === "::" ? "::1" : address;
    return new Promise((resolve) => {
        const socket = net.connect({ host, port });
        const finish = (answered: boolean) => {
            socket.destroy();
            resolve(answered);
        };
        socket.setTimeout(probeTimeout, () => finish(false));
        socket.once("connect", () => finish(true));
        socket.once("error", () => finish(false));
    });
}
