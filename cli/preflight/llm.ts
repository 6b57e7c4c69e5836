import { machineName } from "../../catalogue/names";
import { hostLlmKey } from "../../host/llm";
import type { Settings } from "../../settings/parse";
import type { DockerInfo } from "../docker";
import { run } from "../process";
import { type Finding, failure, ok, warning } from "./finding";

/** A server with OpenAI's API that people run on their own machine. */
export interface KnownServer {
    name: string;
    port: number;
    /** The API's path. */
    path: string;
}

/** Their usual ports, as their makers document them. */
const knownServers: readonly KnownServer[] = [
    { name: "Docker Model Runner", port: 12434, path: "/engines/v1" },
    { name: "Ollama", port: 11434, path: "/v1" },
    { name: "LM Studio", port: 1234, path: "/v1" },
    { name: "vLLM", port: 8000, path: "/v1" },
];

const title = "LLM";
const loopback = "127.0.0.1";
const probeTimeout = 2000;

/**
 * Whether the LLM server that carbon:llm places on this machine answers, and which others do. That none does is a warning:
 * it may be started later. Undefined where the setting places none here.
 *
 * @param known Servers to look for where it does not.
 */
export async function checkLlm(
    settings: Pick<Settings, "llm" | "llmUrl" | "llmKey" | "llmAddress">,
    info: DockerInfo | undefined,
    known: readonly KnownServer[] = knownServers,
): Promise<Finding | undefined> {
    const { llm, llmUrl, llmAddress } = settings;
    if (llm !== "host" || !llmAddress) {
        return undefined;
    }
    const machine = await addressForContainers(info);
    const here = llmAddress.replace(`//${machineName}`, `//${machine}`);
    const key = llmUrl ? settings.llmKey : hostLlmKey();
    if (key !== undefined && (await answers(here, key))) {
        return ok(title, `a server answers at ${llmAddress}`);
    }
    const seen = await Promise.all(known.map((server) => look(server, machine)));
    const others = seen.flat().filter((said) => !said.includes(llmAddress));
    if (key === undefined) {
        return failure(
            title,
            "carbon:llm is host, and no LLM server of the suite's is installed on this machine",
            ["Type: ./carbon gpu install", ...orNameAnother(others)].join(". ").concat("."),
        );
    }
    const nowhere = others.length === 0 ? ", nor does one that is known on another port of this machine" : "";
    const start = llmUrl ? "Start it" : "Type: ./carbon gpu start";
    return warning(
        title,
        `no LLM server answers at ${llmAddress}${nowhere}`,
        [start, ...others].join(". ").concat("."),
    );
}

function orNameAnother(others: string[]): string[] {
    return others.length > 0 ? others : ["Or name another with carbon:llmUrl"];
}

/** What to say of a server that answers here; nothing of one that does not. */
async function look({ name, port, path }: KnownServer, machine: string): Promise<string[]> {
    if (await answers(`http://${machine}:${port}${path}`)) {
        return [`${name} answers: set carbon:llmUrl to http://${machineName}:${port}${path} for it`];
    }
    return machine !== loopback && (await answers(`http://${loopback}:${port}${path}`))
        ? [
              `${name} answers on ${loopback} alone, where no container reaches it: have it listen on ${machine}`,
          ]
        : [];
}

/** Where containers find a server of this machine: Docker's bridge, or the loopback where the engine lies in a machine of its own. */
async function addressForContainers(info: DockerInfo | undefined): Promise<string> {
    if (process.platform !== "linux" || !info || info.OperatingSystem?.includes("Docker Desktop")) {
        return loopback;
    }
    const format = "{{range .IPAM.Config}}{{.Gateway}} {{end}}";
    const { stdout } = await run("docker", ["network", "inspect", "bridge", "--format", format]);
    return stdout.split(/\s+/).find((address) => /^\d+(?:\.\d+){3}$/.test(address)) ?? loopback;
}

/** Whether a server lists its models there, or wants a key or a model first. */
async function answers(address: string, key = ""): Promise<boolean> {
    try {
        const { status } = await fetch(`${address}/models`, {
            headers: key ? { Authorization: `Bearer ${key}` } : {},
            redirect: "manual",
            signal: AbortSignal.timeout(probeTimeout),
        });
        return [200, 401, 503].includes(status);
    } catch {
        return false;
    }
}
