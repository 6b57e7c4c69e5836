import { plainRootLimits } from "./limits";
import type { ServiceSpec } from "./types";

/**
 * Ollama from its official image, on the CPU: no container on a Mac reaches the GPU. It has no login;
 * pages of other origins than the machine itself are refused (its default for OLLAMA_ORIGINS).
 */
export const ollama: ServiceSpec = {
    name: "ollama",
    title: "Ollama",
    // Its digest is on no public record of the vendor's.
    image: { ref: "docker.io/ollama/ollama:0.35.0" },
    place: "ollama",
    // Where Ollama's own programs and libraries look for it (https://docs.ollama.com/faq).
    clientEnv: { OLLAMA_HOST: { port: "ollama" } },
    ports: [{ name: "ollama", port: 11434, title: "Ollama", url: "http://{host}:{port}" }],
    volumes: [{ name: "ollama", path: "/root/.ollama" }],
    secrets: [],
    connection: { variable: "OLLAMA_HOST", python: "ollama.Client()" },
    health: {
        test: ["CMD", "ollama", "list"],
        interval: "30s",
        timeout: "10s",
        startPeriod: "59s",
        startInterval: "1s",
        retries: 3,
    },
    loopbackOnly: true,
    ...plainRootLimits,
    memory: 8192,
    stopTimeout: 15,
};
