import { machineName } from "../../catalogue/names";
import { readSecret } from "../../host/home";
import type { Settings } from "../../settings/parse";
import type { DockerInfo } from "../docker";
import { type HostSettings, missingEnvironments } from "../host/control";
import { bridgeAddress } from "../host/machine";
import { fetchModels, type KnownServer, knownServers } from "../llmServers";
import { type Finding, ok, warning } from "./finding";
import { planOrRefuse } from "./hostPlan";

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
    settings: Pick<Settings, "llmKey" | "llmAddress"> & HostSettings,
    info: DockerInfo | undefined,
    known: readonly KnownServer[] = knownServers,
): Promise<Finding | undefined> {
    const { llm, llmUrl, llmAddress } = settings;
    if (llm !== "host" || !llmAddress) {
        return undefined;
    }
    if (!llmUrl) {
        return checkOwn(settings, llmAddress);
    }
    const machine = await addressForContainers(info);
    const here = llmAddress.replace(`//${machineName}`, `//${machine}`);
    if (await answers(here, settings.llmKey)) {
        return ok(title, `a server answers at ${llmAddress}`);
    }
    const seen = await Promise.all(known.map((server) => look(server, machine)));
    const others = seen.flat().filter((said) => !said.includes(llmAddress));
    const nowhere = others.length === 0 ? ", nor does one that is known on another port of this machine" : "";
    return warning(
        title,
        `no LLM server answers at ${llmAddress}${nowhere}`,
        ["Start it", ...others].join(". ").concat("."),
    );
}

/** The suite's own, which `up` installs and starts. */
async function checkOwn(settings: HostSettings, llmAddress: string): Promise<Finding | undefined> {
    const plan = await planOrRefuse(title, settings);
    if ("status" in plan) {
        // The kernels, which are refused for the same reason, have said it.
        return settings.gpu === "host" ? undefined : plan;
    }
    if (missingEnvironments(plan).includes("llm")) {
        return ok(title, "the suite's own server on this machine, to be installed");
    }
    const key = readSecret(plan.home, "llm-key");
    return (await answers(`http://${plan.config.address}:${settings.llmHostPort}/v1`, key))
        ? ok(title, `the suite's own server answers at ${llmAddress}`)
        : warning(
              title,
              `the suite's own LLM server does not answer at ${llmAddress}`,
              "Type: ./carbon gpu start.",
          );
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
    return (await bridgeAddress()) ?? loopback;
}

/** Whether a server lists its models there, or wants a key or a model first. */
async function answers(address: string, key = ""): Promise<boolean> {
    try {
        const { status } = await fetchModels(address, key, probeTimeout);
        return [200, 401, 503].includes(status);
    } catch {
        return false;
    }
}
