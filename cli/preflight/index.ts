import type { Settings } from "../../settings/parse";
import { type DockerInfo, runningContainers } from "../docker";
import { UserError } from "../errors";
import { type Output, plural } from "../output";
import { checkDataVersions } from "./dataVersions";
import { checkBuilder, checkBuildx, checkDocker, checkImageStore } from "./engineChecks";
import type { Finding } from "./finding";
import { checkGpu } from "./gpu";
import { checkDisk, checkHeldImages, checkPulledImages, checkRootImage } from "./imageNeeds";
import { checkLlm } from "./llm";
import { checkNeighbours } from "./neighbours";
import { checkNetwork } from "./network";
import { checkPorts } from "./ports";
import { checkSubnet } from "./subnet";
import { checkSwarm } from "./swarm";

/** The machine is not ready. Nothing was changed yet. */
export class PreflightError extends UserError {
    override readonly name = "PreflightError";

    constructor(readonly findings: readonly Finding[]) {
        const lines = findings.map(({ detail, advice }) => `  ${detail}. ${advice ?? ""}`.trimEnd());
        super(
            [`${plural(findings.length, "problem")} to solve first; nothing was changed:`, ...lines].join(
                "\n",
            ),
        );
    }
}

/** Everything that the images depend on: what builds them, or the registry that they are pulled from. */
export async function examineImages(settings: Settings, info: DockerInfo): Promise<Finding[]> {
    if (settings.images === "pull") {
        return [checkImageStore(info), await checkBuildx(), ...checkPulledImages(settings)];
    }
    const groups = await Promise.all([
        checkImageStore(info),
        checkBuilder(settings.builder, settings.platforms),
        checkRootImage(settings.rootImage),
        checkDisk(settings, info),
    ]);
    return groups.flat();
}

/**
 * Looks at everything that a deployment depends on before anything is touched. That neighbours on the network reach
 * what is deployed is a warning, and stops nothing; nor does a GPU that cannot be seen from here, or an LLM server that
 * does not answer yet.
 *
 * @throws PreflightError with every problem at once.
 */
export async function ensureReady(
    settings: Settings,
    purpose: "build" | "deploy",
    output: Output,
): Promise<void> {
    const { finding, info } = await checkDocker();
    const gpu = purpose === "deploy" && info ? await checkGpu(settings, info) : undefined;
    const llm = purpose === "deploy" ? await checkLlm(settings, info) : undefined;
    const swarm = purpose === "deploy" && info ? await checkSwarm(settings, info) : [];
    const findings = await Promise.all([
        info ? examineImages(settings, info) : [finding],
        // Without an engine no container can hold a port, so whoever does is another program.
        purpose === "deploy" ? checkPorts(settings, info ? await runningContainers() : []) : [],
        (purpose === "deploy" && (settings.server ? undefined : checkSubnet(settings.subnet))) || [],
        purpose === "deploy" && info ? checkNetwork(settings) : [],
        purpose === "deploy" && info ? checkHeldImages(settings) : [],
        purpose === "deploy" && info ? checkDataVersions(settings) : [],
        swarm,
        gpu ?? [],
        llm ?? [],
    ]);
    const failures = findings.flat().filter(({ status }) => status === "failure");
    if (failures.length > 0) {
        throw new PreflightError(failures);
    }
    const neighbours = purpose === "deploy" && info ? await checkNeighbours(info) : undefined;
    // `up` starts the suite's own server.
    for (const found of [gpu, neighbours, settings.llmUrl ? llm : undefined, ...swarm]) {
        if (found?.status === "warning") {
            output.warn(`${found.detail}. ${found.advice}`);
        }
    }
}
