/** A server with OpenAI's API that people run on their own machine. */
export interface KnownServer {
    name: string;
    port: number;
    /** The API's path. */
    path: string;
}

/**
 * Asks a server for its models. It is not followed to another, which would be shown the key.
 *
 * @param address With the API's path.
 * @throws whatever fetch does where nothing answers in time.
 */
export function fetchModels(address: string, key = "", patienceMilliseconds = 5_000): Promise<Response> {
    return fetch(`${address}/models`, {
        headers: key ? { Authorization: `Bearer ${key}` } : {},
        redirect: "manual",
        signal: AbortSignal.timeout(patienceMilliseconds),
    });
}

/** Their usual ports, as their makers document them. */
export const knownServers: readonly KnownServer[] = [
    { name: "Docker Model Runner", port: 12434, path: "/engines/v1" },
    { name: "Ollama", port: 11434, path: "/v1" },
    { name: "LM Studio", port: 1234, path: "/v1" },
    { name: "vLLM", port: 8000, path: "/v1" },
];
