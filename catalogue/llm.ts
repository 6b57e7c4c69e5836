import { threadedLimits } from "./limits";
import type { ServiceSpec } from "./types";

/** File name of the API key among the secrets, of whichever server it is. */
export const llmSecret = "llm";

/** llama.cpp's server with the OpenAI API, from the compute image. It waits until its volume holds a model. */
export const llm: ServiceSpec = {
    name: "llm",
    title: "LLM server",
    image: "compute",
    toolset: "llm",
    command: ["llm"],
    gpu: true,
    env: { CARBON_LLM_MODEL: "llmModel" },
    // OpenAI's own name, which its clients look for, and the suite's older one. The key itself is in no environment.
    clientEnv: {
        CARBON_LLM_URL: { port: "llm" },
        OPENAI_BASE_URL: { port: "llm" },
        OPENAI_API_KEY_FILE: { value: `/run/carbon/user/${llmSecret}` },
    },
    ports: [
        {
            name: "llm",
            port: 8001,
            title: "LLM server (OpenAI API)",
            url: "http://{host}:{port}/v1",
            secret: llmSecret,
        },
    ],
    volumes: [{ name: "llm", path: "/models" }],
    secrets: [{ name: llmSecret, key: "llm", length: 24, field: "apiKey" }],
    connection: {
        variable: "OPENAI_BASE_URL",
        python: 'openai.OpenAI(api_key=open(os.environ["OPENAI_API_KEY_FILE"]).read())',
    },
    // A large model takes a while to load, and its server is slow to answer while it computes.
    health: { interval: "30s", timeout: "10s", startPeriod: "10m0s", startInterval: "1s", retries: 3 },
    loopbackOnly: true,
    ...threadedLimits,
    memory: 8192,
    stopTimeout: 15,
};
