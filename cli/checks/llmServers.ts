import { connect } from "node:net";
import { type HostHome, hostHome, readConfig, readSecret } from "../../host/home";
import { fetchModels, type KnownServer, knownServers } from "../llmServers";
import { CheckFailed, type OutsideCheck, passed, skipped } from "./check";

/** A server of this machine's that speaks the OpenAI API. */
export interface LlmServer extends KnownServer {
    /** Default: this machine's loopback. */
    address?: string;
    key?: string;
}

/** Those that people run, and the suite's own where it is installed. */
function llmServers(home: HostHome = hostHome()): LlmServer[] {
    const config = readConfig(home);
    const program = config?.programs.find(({ name }) => name === "llm");
    const key = readSecret(home, "llm-key");
    return [
        ...(program ? [{ name: own, address: config?.address, port: program.port, path: "/v1", key }] : []),
        ...knownServers,
    ];
}

const patience = 5_000;

/** The suite's own server, by the name that it has here. */
const own = "the suite's own";

/**
 * The LLM servers on this machine. None is a matter of choice, unless the settings want the suite's own; one that listens
 * has to answer.
 */
export function llmServerCheck({
    servers = llmServers(),
    wantsOwn = false,
}: {
    servers?: readonly LlmServer[];
    wantsOwn?: boolean;
} = {}): OutsideCheck {
    return {
        id: "host-llm",
        expected: wantsOwn
            ? "the suite's own LLM server answers"
            : "whatever listens on an LLM server's port answers",
        hint: "Restart the server; `lsof -nP -iTCP -sTCP:LISTEN` shows what listens.",
        async look() {
            const seen = await Promise.all(servers.map(askServer));
            const silent = seen.filter(({ said }) => said === "silent");
            if (silent.length > 0) {
                const names = silent.map(({ name, port }) => `${name}'s port ${port}`).join(", ");
                throw new CheckFailed(
                    `${names}: something listens, and does not answer within ${patience / 1000} s`,
                );
            }
            if (wantsOwn && !seen.some(({ name, said }) => name === own && said)) {
                throw new CheckFailed(
                    "carbon:llm is host, and the suite's own server does not run",
                    "./carbon gpu start",
                );
            }
            const answering = seen.flatMap(({ name, port, said }) =>
                said ? [`${name} on ${port}: ${said}`] : [],
            );
            return answering.length > 0
                ? passed(answering.join("; "))
                : skipped(`none runs: ${servers.map(({ name, port }) => `${name} (${port})`).join(", ")}`);
        },
    };
}

/** What it answers; `silent` where it listens only; undefined where nothing does, or something that is no LLM server. */
async function askServer({ name, address = "127.0.0.1", port, path, key }: LlmServer) {
    if (!(await listens(address, port))) {
        return { name, port, said: undefined };
    }
    try {
        const answer = await fetchModels(`http://${address}:${port}${path}`, key, patience);
        return { name, port, said: await described(answer) };
    } catch {
        return { name, port, said: "silent" };
    }
}

/** What an LLM server lists, or asks for first: a key, or a model. Ports of theirs are other programs', too. */
async function described(answer: Response): Promise<string | undefined> {
    if (answer.status === 401) {
        return "wants a key";
    }
    if (answer.status === 503) {
        return "has no model";
    }
    const models: unknown = await answer.json().then(
        (body) => body?.data?.length,
        () => undefined,
    );
    return answer.ok && Number.isInteger(models) ? `${models} models` : undefined;
}

function listens(host: string, port: number): Promise<boolean> {
    return new Promise((resolve) => {
        const socket = connect({ host, port });
        const finish = (answer: boolean) => {
            socket.destroy();
            resolve(answer);
        };
        socket.setTimeout(patience, () => finish(false));
        socket.once("connect", () => finish(true));
        socket.once("error", () => finish(false));
    });
}
