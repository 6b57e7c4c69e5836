import type { Command } from "commander";
import pc from "picocolors";
import type { Settings } from "../../settings/parse";
import { action, type Handler } from "../action";
import { confirm, ensureAnswerable } from "../confirm";
import { deployedImages, removeOutdated } from "../deployedImages";
import { stackOutputs } from "../documents";
import type { DeploymentEngine, DeploymentRequest, Outcome } from "../engines/types";
import { UserError } from "../errors";
import { describeExposure } from "../exposure";
import { readFingerprints } from "../fingerprints";
import { ensureReady } from "../preflight";
import type { Session } from "../session";
import { describeFailures, hasChanges, upSummary } from "../summary";
import { verificationTable } from "../tables";
import { runVerification } from "../verification";
import { ensureWorkspaceFolder } from "../workspaceFolder";

/** `carbon up`. */
export function addUp(program: Command): void {
    program
        .command("up")
        .description("build what has changed, launch it, check it, and say where everything is")
        .action(action(up));
}

const up: Handler<unknown> = async (session) => {
    ensureAnswerable(session, "up");
    const started = Date.now();
    const settings = session.settings();
    await ensureReady(settings, "deploy", session.output);
    const engine = await session.announcedEngine();
    const request = session.request(settings);
    const exposure = describeExposure(settings);
    if (exposure) {
        session.output.note(`${pc.yellow("!")} ${exposure}`);
    }
    await askAfterPreview(session, engine, request, settings);
    if (ensureWorkspaceFolder(settings)) {
        session.output.note(`Made the folder ${settings.workspaceDir}; it is /workspace in the containers.`);
    }
    const before = deployedImages(session.project, session.stack);
    const { changes } = await deploy(session, settings, engine, request);
    const removed = await removeOutdated(before, session);
    if (removed.length > 0) {
        session.output.note(`Removed what this stack no longer needs: ${removed.join(", ")}`);
    }
    const outputs = await session.outputsAs(stackOutputs, { showSecrets: false });
    const fingerprints = settings.tls ? await readFingerprints(session.stack) : undefined;
    const milliseconds = Date.now() - started;
    const { urls, images, verification } = outputs;
    session.output.result(upSummary(session, outputs, { milliseconds, changes, fingerprints }), {
        stack: session.stack,
        engine: engine.name,
        seconds: milliseconds / 1000,
        changes,
        urls,
        images,
        verification,
        fingerprints,
    });
};

async function askAfterPreview(
    session: Session,
    engine: DeploymentEngine,
    request: DeploymentRequest,
    { tls, bindAddress }: Settings,
): Promise<void> {
    if (session.options.yes) {
        return;
    }
    const { changes } = await engine.preview(request, { refresh: true });
    if (!changes || hasChanges(changes)) {
        const opened = tls ? ` and open its ports on ${bindAddress} to other machines` : "";
        await confirm(session, `Deploy this to the stack ${session.stack}${opened}?`);
    }
}

/** Deploys; where that fails because of the check, the check's table says more than the engine can. */
async function deploy(
    session: Session,
    settings: Settings,
    engine: DeploymentEngine,
    request: DeploymentRequest,
): Promise<Outcome> {
    try {
        return await engine.up(request);
    } catch (error) {
        if (settings.verify !== "strict" || session.signal.aborted) {
            throw error;
        }
        const verification = await runVerification(session.stack).catch(() => undefined);
        if (!verification || verification.summary.fail === 0) {
            throw error;
        }
        session.output.note(`\n${verificationTable(verification, session.width)}\n`);
        throw new UserError(
            `${describeFailures(verification)}. Mend it and type \`./carbon up${session.stackFlag()}\` again, or set carbon:verify to report.`,
        );
    }
}
