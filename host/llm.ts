import * as pulumi from "@pulumi/pulumi";
import { llmSecret } from "../catalogue/llm";
import type { Settings } from "../settings/parse";
import { type HostHome, type HostProgram, hostHome, readSecret } from "./home";

/** What of the settings says which LLM server the workspace uses. */
export type LlmSettings = Pick<Settings, "llm" | "llmUrl" | "llmKey" | "llmHostPort" | "llmModel">;

/** For clients that insist on a key where the server asks for none. */
const noKey = "none";

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

/**
 * The key of an LLM server that is no service of the stack's, by its file name among the secrets.
 *
 * @throws pulumi.RunError where it is the host's own and that is not there; Pulumi prints it without a stack trace.
 */
export function llmSecrets(settings: LlmSettings, home: HostHome = hostHome()): Record<string, string> {
    if (settings.llm === "service") {
        return {};
    }
    if (settings.llmUrl) {
        return { [llmSecret]: settings.llmKey || noKey };
    }
    const key = readSecret(home, "llm-key");
    if (!key) {
        throw new pulumi.RunError(
            "carbon:llm is host, and no LLM server of the suite's is installed on this machine. Type: ./carbon gpu install; or name another with carbon:llmUrl.",
        );
    }
    return { [llmSecret]: key };
}
