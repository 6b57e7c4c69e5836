import { threadedLimits } from "./limits";
import type { ServiceSpec } from "./types";

/** llama.cpp's server with the OpenAI API, from the compute image. It waits until its volume holds a model. */
export const llm: ServiceSpec = {
    name: "llm",
    title: "LLM server",
    image: "compute",
    toolset: "llm",
    command: ["llm"],
    gpu: true,
    env: { CARBON_LLM_MODEL: "llmModel" },
    clientEnv: { CARBON_LLM_URL: { port: "llm" } },
    ports: [
        {
            name: "llm",
            port: 8001,
            title: "LLM server (OpenAI API)",
            url: "http://{host}:{port}/v1",
            secret: "llm",
        },
    ],
    volumes: [{ name: "llm", path: "/models" }],
    secrets: [{ name: "llm", key: "llm", length: 24, field: "apiKey" }],
    connection: {
        variable: "CARBON_LLM_URL",
        python: 'openai.OpenAI(base_url=os.environ["CARBON_LLM_URL"], api_key=open("/run/carbon/user/llm").read())',
    },
    // A large model takes a while to load.
    health: { interval: "30s", timeout: "5s", startPeriod: "2m30s", startInterval: "1s", retries: 3 },
    loopbackOnly: true,
    ...threadedLimits,
    memory: 8192,
    stopTimeout: 15,
};
