import * as net from "node:net";
import { containerName } from "../../catalogue/names";
import type { Settings } from "../../settings/parse";
import { type ContainerDetails, nameOf, stackLabel } from "../docker";
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
    const findings = await Promise.all(wanted.map((port) => checkPort(settings, port, containers)));
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
): Promise<Finding | undefined> {
    const holder = containers.find((container) => publishes(container, address, port));
    // What has the stack's names is the stack's, or is asked about apart.
    const names = ["workspace", ...settings.services.map((one) => one.name)];
    const isNamesake = names.some((one) => holder && nameOf(holder) === containerName(settings.stack, one));
    if (holder?.Config.Labels[stackLabel] === settings.stack || isNamesake) {
        return undefined;
    }
    const problem = holder ? `is taken by the container ${nameOf(holder)}` : await whyNotFree(address, port);
    if (!problem) {
        return undefined;
    }
    const find = holder ? "" : `Type \`lsof -nP -iTCP:${port} -sTCP:LISTEN\` to see by what. `;
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
