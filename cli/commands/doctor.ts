import { accessSync, constants } from "node:fs";
import type { Command } from "commander";
import pc from "picocolors";
import { workspace } from "../../catalogue";
import { memoryLimit } from "../../catalogue/chosen";
import { type Settings, SettingsError } from "../../settings/parse";
import { action, type Handler } from "../action";
import { type DockerInfo, runningContainers } from "../docker";
import { exitCodes, messageOf } from "../errors";
import { examineImages } from "../preflight";
import { checkAuthorities } from "../preflight/authorities";
import { checkDocker, checkMemory } from "../preflight/engineChecks";
import { type Finding, failure, ok, warning } from "../preflight/finding";
import { checkGpu } from "../preflight/gpu";
import { checkLlm } from "../preflight/llm";
import { checkNeighbours } from "../preflight/neighbours";
import { checkPorts } from "../preflight/ports";
import { checkSubnet } from "../preflight/subnet";
import { checkSwarm } from "../preflight/swarm";
import { checkWorkspaceFolder } from "../preflight/workspaceFolder";
import type { Session } from "../session";

/** `carbon doctor`. */
export function addDoctor(program: Command): void {
    program
        .command("doctor")
        .description("look at everything that a deployment needs, and say what to do where it is missing")
        .action(action(doctor));
}

const doctor: Handler<unknown> = async (session) => {
    const { finding: docker, info } = await checkDocker();
    const { finding: configuration, settings } = checkSettings(session);
    const findings = [
        // One that is too old does not get here: see carbon.js.
        ok("Node.js", process.versions.node),
        await checkEngine(session),
        configuration,
        checkCertificates(process.env, settings),
        ...checkAuthorities(settings?.caCertificates),
        docker,
        ...present(
            info && (await checkNeighbours(info)),
            settings && (await checkLlm(settings, info)),
            settings && checkWorkspaceFolder(settings),
        ),
        ...(settings ? await examineMachine(settings, info) : []),
    ];
    const healthy = findings.every(({ status }) => status !== "failure");
    session.output.result(findings.map(renderFinding).join("\n"), { healthy, checks: findings });
    return healthy ? 0 : exitCodes.failure;
};

function present(...findings: (Finding | undefined)[]): Finding[] {
    return findings.filter((finding) => finding !== undefined);
}

const marks = { ok: pc.green("✓"), warning: pc.yellow("!"), failure: pc.red("✗") };

/** A line of the checklist, and below it what to do. */
export function renderFinding({ title, status, detail, advice }: Finding): string {
    const line = `${marks[status]} ${pc.bold(title)}: ${detail}`;
    return advice ? `${line}\n    ${advice}` : line;
}

async function checkEngine(session: Session): Promise<Finding> {
    try {
        return ok("deployment engine", (await session.engine()).description.replace(/^Engine: /, ""));
    } catch (error) {
        return failure("deployment engine", messageOf(error), "Leave out --engine.");
    }
}

function checkSettings(session: Session): { finding: Finding; settings?: Settings } {
    const title = `configuration of ${session.stack}`;
    try {
        return { finding: ok(title, "valid"), settings: session.settings() };
    } catch (error) {
        const advice = `Change Pulumi.${session.stack}.yaml.`;
        const detail = error instanceof SettingsError ? error.message : messageOf(error);
        return { finding: failure(title, detail, advice) };
    }
}

function checkCertificates(env: NodeJS.ProcessEnv, settings: Settings | undefined): Finding {
    const title = "extra CA certificates";
    const file = env.NODE_EXTRA_CA_CERTS || env.SSL_CERT_FILE;
    if (!file) {
        return ok(
            title,
            settings?.caCertificates ? "as carbon:extraCaCertificates says" : "none, the usual ones hold",
        );
    }
    try {
        accessSync(file, constants.R_OK);
        return ok(
            title,
            settings?.caCertificates ? `${file}, handed to builds` : `${file}, not handed to builds`,
        );
    } catch (error) {
        return warning(title, messageOf(error), "Mend NODE_EXTRA_CA_CERTS or SSL_CERT_FILE, or unset it.");
    }
}

async function examineMachine(settings: Settings, info: DockerInfo | undefined): Promise<Finding[]> {
    if (!info) {
        return checkPorts(settings, []);
    }
    const memory = [workspace, ...settings.services].reduce(
        (sum, service) => sum + memoryLimit(service, settings),
        0,
    );
    return [
        checkMemory(info, memory),
        ...(await examineImages(settings, info)),
        ...(await checkPorts(settings, await runningContainers())),
        ...present(
            settings.server ? undefined : checkSubnet(settings.subnet),
            await checkGpu(settings, info),
        ),
        ...(await checkSwarm(settings, info)),
    ];
}
