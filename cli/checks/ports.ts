import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { catalogueName, everyService, type PortSpec } from "../../catalogue";
import { type ContainerDetails, stackContainers } from "../docker";
import { serviceOf } from "../health";
import { run } from "../process";
import { currentServer } from "../server/reach";
import { openTunnel } from "../server/tunnel";
import type { Session } from "../session";
import { CheckFailed, type Outcome, type OutsideCheck, passed, skipped } from "./check";

/** Seconds that a busy server has for its whole answer. */
const patience = 20;
/** Bytes that are looked at of an answer. */
const longestAnswer = 4096;

/** A port of the stack's as Docker publishes it. */
export interface Published {
    spec: PortSpec;
    service: string;
    address: string;
    port: number;
    /** Whether the service speaks TLS: where other machines can connect. */
    tls: boolean;
}

/**
 * One check for each port that the stack's running containers publish: a connection from this machine, and the first
 * exchange of its protocol. None where nothing of the stack runs. The ports of the user's own programs are not among
 * them: whether something listens there is theirs to say.
 */
export async function portChecks(session: Session): Promise<OutsideCheck[]> {
    // Where Docker does not answer, another check says so.
    const containers = await stackContainers(session.stack).catch(() => []);
    const ports = containers.filter(({ State }) => State.Status === "running").flatMap(published);
    ports.sort((one, other) => rankOf(one) - rankOf(other));
    const elsewhere = ports.length > 0 && !(await openTunnel(session)) ? await whereElse() : undefined;
    return ports.map((port) => ({
        id: `port-${port.spec.name}`,
        expected: `${protocolOf(port).name} from this machine, at ${at(port)}`,
        hint: `./carbon logs ${port.service}${session.stackFlag()}`,
        look: async () => (elsewhere ? skipped(elsewhere) : look(port)),
    }));
}

/** The catalogue's order. */
function rankOf({ spec }: Published): number {
    return everyService.flatMap((service) => service.ports).findIndex(({ name }) => name === spec.name);
}

function published(container: ContainerDetails): Published[] {
    const service = serviceOf(container);
    const spec = everyService.find(({ name }) => name === catalogueName(service));
    return (spec?.ports ?? []).flatMap((port) => {
        const [binding] = container.NetworkSettings.Ports[`${port.port}/tcp`] ?? [];
        if (!binding) {
            return [];
        }
        const isOpen = !(binding.HostIp.startsWith("127.") || binding.HostIp === "::1");
        const address = { "0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1" }[binding.HostIp];
        return [
            {
                spec: port,
                service,
                address: address ?? binding.HostIp,
                port: Number(binding.HostPort),
                tls: isOpen && !spec?.loopbackOnly,
            },
        ];
    });
}

/** Why the ports are not this machine's, where Docker runs on another one; undefined where it is here, or in a VM of it. */
async function whereElse(): Promise<string | undefined> {
    const asked = ["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"];
    const host = process.env.DOCKER_HOST || (await run("docker", asked)).stdout.trim();
    return !host || /^(unix|npipe|fd):/.test(host)
        ? undefined
        : `Docker runs at ${host.replace(/\/\/[^@/]*@/, "//")}, which publishes the ports there${currentServer() ? "; `carbon tunnel` brings them here" : ""}`;
}

function at({ address, port }: Published): string {
    return `${address.includes(":") ? `[${address}]` : address}:${port}`;
}

/** How a protocol begins: what a client says first, if anything, and what an answer must look like. */
interface Protocol {
    /** In a user's words. */
    name: string;
    /** Whether TLS, where it is on, comes before the first byte. */
    tlsFirst?: boolean;
    says?: Buffer;
    /** What was seen, where the answer is one of this protocol's; undefined while it is not. */
    reads(answer: Buffer): string | undefined;
}

const banner = (name: string, expression: RegExp): Protocol => ({
    name,
    reads: (answer) => expression.exec(answer.toString("latin1"))?.[0].trim(),
});

const http: Protocol = {
    name: "an answer in HTTP",
    tlsFirst: true,
    says: Buffer.from("GET / HTTP/1.0\r\nHost: localhost\r\nUser-Agent: carbon\r\nConnection: close\r\n\r\n"),
    reads(answer) {
        const [line, status] = /^HTTP\/1\.[01] (\d{3})/.exec(answer.toString("latin1")) ?? [];
        // 503 is a server that has nothing to serve yet, such as an LLM server without a model.
        if (status && Number(status) >= 500 && status !== "503") {
            throw new CheckFailed(`${line}`);
        }
        return line;
    },
};

/** By the scheme of a port's address, or by what the catalogue says that it speaks. */
const protocols: Record<string, Protocol> = {
    http,
    // A server of MongoDB tells HTTP's clients in HTTP that they are wrong.
    mongodb: { ...http, name: "an answer of MongoDB's" },
    ssh: banner("SSH's greeting", /^SSH-2\.0-[^\r\n]*\r?\n/),
    vnc: banner("the greeting of a VNC server", /^RFB \d{3}\.\d{3}\n/),
    redis: {
        name: "an answer of Redis's",
        tlsFirst: true,
        says: Buffer.from("PING\r\n"),
        // Without a password it refuses, or says what else keeps it busy.
        reads: (answer) => /^[+-][A-Z]+(?=[ \r])/.exec(answer.toString("latin1"))?.[0],
    },
    postgresql: {
        name: "PostgreSQL's answer",
        // SSLRequest: length, code (protocol-message-formats).
        says: Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]),
        reads: (answer) =>
            ({ S: "PostgreSQL, with TLS", N: "PostgreSQL, without TLS" })[answer.toString("latin1", 0, 1)],
    },
    mqtt: {
        name: "an MQTT broker's answer",
        tlsFirst: true,
        // CONNECT of MQTT 3.1.1 with a clean session, no name and no login.
        says: Buffer.from([0x10, 12, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 60, 0, 0]),
        reads: (answer) => (answer[0] === 0x20 && answer.length >= 4 ? `CONNACK ${answer[3]}` : undefined),
    },
    rdp: {
        name: "an RDP server's answer",
        // An X.224 connection request that offers TLS (MS-RDPBCGR, 2.2.1.1).
        says: Buffer.from([3, 0, 0, 0x13, 0x0e, 0xe0, 0, 0, 0, 0, 0, 1, 0, 8, 0, 1, 0, 0, 0]),
        reads: (answer) => (answer[0] === 3 && answer[5] === 0xd0 ? "X.224 connection confirm" : undefined),
    },
    grpc: {
        name: "an answer in HTTP/2",
        says: Buffer.concat([
            Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
            Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
        ]),
        reads: (answer) => (answer.length >= 9 && answer[3] === 4 ? "HTTP/2 settings" : undefined),
    },
};

function protocolOf({ spec }: Published): Protocol {
    return protocols[spec.speaks ?? spec.url.replace(/:.*/, "")] ?? http;
}

/**
 * Connects, says what a client says first, and reads until the answer is one of the protocol's. When it ends, so has the
 * connection.
 *
 * @param seconds For all of it: a server that sends a byte now and then gets no more.
 * @throws CheckFailed when the answer is none of the protocol's, or does not come in time.
 */
export function look(port: Published, seconds = patience): Promise<Outcome> {
    const protocol = protocolOf(port);
    const tls = port.tls && protocol.tlsFirst;
    return new Promise((resolve, reject) => {
        const { address: host, port: number } = port;
        // Whose certificate it is, is the workspace's check; here the question is whether somebody answers.
        const socket: Socket = tls
            ? connectTls({ host, port: number, rejectUnauthorized: false })
            : connectTcp({ host, port: number });
        let answer: Buffer = Buffer.alloc(0);
        const end = (outcome: () => void) => {
            clearTimeout(deadline);
            socket.destroy();
            outcome();
        };
        const fail = (observed: string) => end(() => reject(new CheckFailed(observed)));
        const deadline = setTimeout(() => fail(`no answer within ${seconds} s`), seconds * 1000);
        socket.once(tls ? "secureConnect" : "connect", () => protocol.says && socket.write(protocol.says));
        socket.on("data", (chunk: Buffer) => {
            answer = Buffer.concat([answer, chunk]);
            try {
                const seen = protocol.reads(answer);
                if (seen) {
                    end(() => resolve(passed(`${seen}${tls ? ", TLS" : ""}`)));
                } else if (answer.length > longestAnswer) {
                    fail("another protocol's answer");
                }
            } catch (error) {
                end(() => reject(error));
            }
        });
        socket.once("end", () =>
            fail(answer.length > 0 ? "another protocol's answer" : "the connection is closed without a word"),
        );
        socket.once("error", ({ code, message }: NodeJS.ErrnoException) => {
            const isElsewhere = code === "EADDRNOTAVAIL" || code === "ENETUNREACH";
            end(() =>
                isElsewhere
                    ? resolve(skipped(`${host} is no address that this machine reaches`))
                    : reject(new CheckFailed(message || String(code))),
            );
        });
    });
}
