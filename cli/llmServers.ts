/** A server with OpenAI's API that people run on their own machine. */
export interface KnownServer {
    name: string;
    port: number;
    /** The API's path. */
    path: string;
}

/** Their usual ports, as their makers document them. */
export const knownServers: readonly KnownServer[] = [
    { name: "Docker Model Runner", port: 12434, path: "/engines/v1" },
    { name: "Ollama", port: 11434, path: "/v1" },
    { name: "LM Studio", port: 1234, path: "/v1" },
    { name: "vLLM", port: 8000, path: "/v1" },
];
