import type { Command } from "commander";
import type { Settings } from "../../settings/parse";
import { action, type Handler } from "../action";
import { confirm, ensureAnswerable } from "../confirm";
import type { DeploymentEngine, DeploymentRequest, Outcome } from "../engines/types";
import { UserError } from "../errors";
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
    await ensureReady(settings, "deploy");
    const engine = await session.announcedEngine();
    const request = session.request(settings);
    await askAfterPreview(session, engine, request);
    if (ensureWorkspaceFolder(settings)) {
        session.output.note(`Made the folder ${settings.workspaceDir}; it is /workspace in the containers.`);
    }
    const { changes } = await deploy(session, settings, engine, request);
    const outputs = await session.outputs({ showSecrets: false });
    const milliseconds = Date.now() - started;
    const { urls, images, verification } = outputs;
    session.output.result(upSummary(session, outputs, milliseconds, changes), {
        stack: session.stack,
        engine: engine.name,
        seconds: milliseconds / 1000,
        changes,
        urls,
        images,
        verification,
    });
};

async function askAfterPreview(
    session: Session,
    engine: DeploymentEngine,
    request: DeploymentRequest,
): Promise<void> {
    if (session.options.yes) {
        return;
    }
    const { changes } = await engine.preview(request, { refresh: true });
    if (!changes || hasChanges(changes)) {
        await confirm(session, `Deploy this to the stack ${session.stack}?`);
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
        const verification = await runVerification(session.stack);
        if (!verification || verification.summary.fail === 0) {
            throw error;
        }
        session.output.note(`\n${verificationTable(verification, session.width)}\n`);
        throw new UserError(
            `${describeFailures(verification)}. Mend it and type \`npx carbon up${session.stackFlag()}\` again, or set carbon:verify to report.`,
        );
    }
}
