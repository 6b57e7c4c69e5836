import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import * as path from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { llmSecret } from "../catalogue/llm";
import type { Settings } from "../settings/parse";

/** What of the settings says which LLM server the workspace uses. */
export type LlmSettings = Pick<Settings, "llm" | "llmUrl" | "llmKey">;

/** For clients that insist on a key where the server asks for none. */
const noKey = "none";

/** The server's file, which is the image's too: it needs nothing but its packages. */
export const llmServerSource = path.resolve(
    __dirname,
    "../dockerfiles/compute/rootfs/llm/usr/local/lib/carbon/llm_server.py",
);

/** Packages that it needs, in the environment `llm` of the host's folder. */
export const llmServerPackages = ["aiohttp", "xllamacpp"] as const;

/** File with the API key of the host's own LLM server: another than the token, with which code is run. */
export function hostLlmKeyFile(folder: string): string {
    return path.join(folder, "llm-key");
}

/**
 * Arguments for the Python of the environment `llm`.
 *
 * @param program Where its file lies on the host.
 * @param folder The host's folder, with the models in `models`.
 * @param address Of this machine, to listen on.
 */
export function llmServerArguments(
    program: string,
    folder: string,
    { address, port }: { address: string; port: number },
): string[] {
    const models = path.join(folder, "models");
    return [
        ...["-I", program, "--models", models, "--key-file", hostLlmKeyFile(folder)],
        ...["--address", address, "--port", String(port)],
        ...["--how-to-add", `into ${models}, or type: ./carbon models pull --place host`],
        ...["--how-to-read", `type: chmod u+r ${models}/*.gguf`],
    ];
}

/** The host's folder, which holds what runs there beside Docker. */
export function hostFolder(env: NodeJS.ProcessEnv = process.env, platform = process.platform): string {
    const standard =
        platform === "darwin" ? "Library/Application Support/Carbon GPU" : ".local/share/carbon-gpu";
    return env.CARBON_GPU_HOME ? path.resolve(env.CARBON_GPU_HOME) : path.join(homedir(), standard);
}

/**
 * The key of an LLM server that is no service of the stack's, by its file name among the secrets.
 *
 * @throws pulumi.RunError where it is the host's own and that is not there; Pulumi prints it without a stack trace.
 */
export function llmSecrets(settings: LlmSettings, folder = hostFolder()): Record<string, string> {
    if (settings.llm === "service") {
        return {};
    }
    if (settings.llmUrl) {
        return { [llmSecret]: settings.llmKey || noKey };
    }
    const key = hostLlmKey(folder);
    if (!key) {
        throw new pulumi.RunError(
            "carbon:llm is host, and no LLM server of the suite's is installed on this machine. Type: ./carbon gpu install; or name another with carbon:llmUrl.",
        );
    }
    return { [llmSecret]: key };
}

/** Key of the host's own LLM server; undefined where none is installed. */
export function hostLlmKey(folder = hostFolder()): string | undefined {
    try {
        return readFileSync(hostLlmKeyFile(folder), "utf8").trim() || undefined;
    } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") {
            return undefined;
        }
        throw error;
    }
}
