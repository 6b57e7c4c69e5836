import { connect } from "node:net";
import { CheckFailed, type OutsideCheck, passed, skipped } from "./check";

/** A server of this machine's that speaks the OpenAI API, as its makers document the address. */
export interface LlmServer {
    name: string;
    port: number;
    /** Of the list of models. */
    path: string;
}

export const llmServers: readonly LlmServer[] = [
    { name: "the suite's own", port: 8011, path: "/v1/models" },
    { name: "Docker Model Runner", port: 12434, path: "/engines/v1/models" },
    { name: "Ollama", port: 11434, path: "/v1/models" },
    { name: "LM Studio", port: 1234, path: "/v1/models" },
];

const patience = 5_000;

/** The LLM servers on this machine. None is a matter of choice; one that listens has to answer. */
export function llmServerCheck(servers: readonly LlmServer[] = llmServers): OutsideCheck {
    return {
        id: "host-llm",
        expected: "whatever listens on an LLM server's port answers",
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
            const answering = seen.flatMap(({ name, port, said }) =>
                said ? [`${name} on ${port}: ${said}`] : [],
            );
            return answering.length > 0
                ? passed(answering.join("; "))
                : skipped(`none runs: ${servers.map(({ name, port }) => `${name} (${port})`).join(", ")}`);
        },
    };
}

/** What it answers; `silent` where it listens only; undefined where nothing does. */
async function askServer({ name, port, path }: LlmServer) {
    if (!(await listens(port))) {
        return { name, port, said: undefined };
    }
    try {
        const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
            signal: AbortSignal.timeout(patience),
            redirect: "manual",
        });
        const models = await answer.json().then(
            (body) => body?.data?.length,
            () => undefined,
        );
        const said = Number.isInteger(models) ? `${models} models` : `answers ${answer.status}`;
        return { name, port, said };
    } catch {
        return { name, port, said: "silent" };
    }
}

function listens(port: number): Promise<boolean> {
    return new Promise((resolve) => {
        const socket = connect({ host: "127.0.0.1", port });
        const finish = (answer: boolean) => {
            socket.destroy();
            resolve(answer);
        };
        socket.setTimeout(patience, () => finish(false));
        socket.once("connect", () => finish(true));
        socket.once("error", () => finish(false));
    });
}
