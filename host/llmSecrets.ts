import * as pulumi from "@pulumi/pulumi";
import { llmSecret } from "../catalogue/llm";
import { type HostHome, hostHome, readSecret } from "./home";
import type { LlmSettings } from "./llm";

/** For clients that insist on a key where the server asks for none. */
const noKey = "none";

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
