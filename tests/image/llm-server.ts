import { join } from "node:path";
import type Docker from "dockerode";
import type { ReferredSettings } from "../../catalogue";
import { clientAccess } from "../../catalogue/clients";
import { llm as service } from "../../catalogue/llm";
import { exec, makeVolume, type RoleArgs, run, secrets, startHealthy, until } from "./base-container";

/** What the suite gives a workspace beside the service llm, or beside another server with this address. */
export function llmEnv(llmAddress?: string): Record<string, string> {
    const settings = { ollama: "service", llmAddress } as ReferredSettings;
    return clientAccess(llmAddress ? [] : [service], settings);
}

/** Starts the service llm with an empty volume for models, and waits until it is healthy, which it is without one. */
export async function startLlm(args: Omit<RoleArgs, "role" | "binds">): Promise<Docker.Container> {
    const model = join(__dirname, "tiny_gguf.py");
    return startHealthy({
        ...args,
        role: "llm",
        binds: [`${await makeVolume()}:/models`, `${model}:/tiny_gguf.py:ro`],
    });
}

/** Puts the tests' own model `tiny`, which talks nonsense, into the volume, and waits until it is served. */
export async function putModel(llm: Docker.Container): Promise<void> {
    await run(llm, ["/opt/carbon/venv/bin/python", "/tiny_gguf.py", "/models/tiny.gguf"]);
    const models = ["http://127.0.0.1:8001/v1/models", "-H", `Authorization: Bearer ${secrets.llm}`];
    // Between the server that says what to do and the one with the model, nobody listens.
    await until("the model is served", 60, async () => {
        const { code } = await exec(llm, ["curl", "--fail", "--silent", ...models]);
        return code === 0;
    });
}
