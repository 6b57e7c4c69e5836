import type { Settings } from "../settings/parse";
import type { HostProgram } from "./home";

/** What of the settings says which LLM server the workspace uses. */
export type LlmSettings = Pick<Settings, "llm" | "llmUrl" | "llmKey" | "llmHostPort" | "llmModel">;

/** Servers of the suite's own that the settings want on this machine, beside the gateway. */
export function hostPrograms({
    llm,
    llmUrl,
    llmHostPort,
    llmModel,
}: Omit<LlmSettings, "llmKey">): HostProgram[] {
    if (llm !== "host" || llmUrl) {
        return [];
    }
    const models = "{home}/models";
    return [
        {
            name: "llm",
            environment: "llm",
            script: "llm_server.py",
            port: llmHostPort,
            arguments: [
                ...["--models", models, "--model", llmModel, "--key-file", "{home}/llm-key"],
                ...["--how-to-add", `into ${models}, or type: ./carbon models pull NAME --place host`],
                ...["--how-to-read", `type: chmod u+r '${models}'/*.gguf`],
            ],
        },
    ];
}
