import type { Command } from "commander";
import pc from "picocolors";
import type { Settings } from "../../settings/parse";
import { action, type Handler } from "../action";
import { confirm, ensureAnswerable } from "../confirm";
import { deployedImages, removeOutdated } from "../deployedImages";
import { stackOutputs } from "../documents";
import { findDrift } from "../drift";
import { askForOthers, heal, type Permissions } from "../drift/heal";
import type { DeploymentEngine, DeploymentRequest, Outcome } from "../engines/types";
import { messageOf, UserError } from "../errors";
import { describeExposure } from "../exposure";
import { readFingerprints } from "../fingerprints";
import { ensureHost } from "../host/control";
import { renewKnownHosts } from "../knownHosts";
import { startStack, stoppedContainers } from "../lifecycle";
import { forgetLogin } from "../login";
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
        .option(
            "--replace-foreign",
            "remove containers and networks that have the stack's names and are not the stack's",
            false,
        )
        .option(
            "--take-over",
            "take over a stack of this name that another user has made, with its data",
            false,
        )
        .action(action(up));
}

const up: Handler<Permissions> = async (session, permissions) => {
    ensureAnswerable(session, "up");
    await bringUp(session, { permissions });
};

/** A password of the stack's. */
export interface Password {
    /** Its login's key in the output `credentials`. */
    key: string;
    /** Name of its resource. */
    resource: string;
}

/**
 * Deploys, checks, and says where everything is.
 *
 * @param options.changing Passwords that are made anew.
 * @param options.permissions To take away what is not the stack's; none when absent.
 */
export async function bringUp(
    session: Session,
    { changing = [], permissions }: { changing?: readonly Password[]; permissions?: Permissions } = {},
): Promise<void> {
    const passwords = changing.map(({ resource }) => resource);
    const started = Date.now();
    const settings = session.settings();
    (await session.engine()).ensureFree(session);
    await ensureReady(settings, "deploy", session.output);
    const engine = await session.announcedEngine();
    const request = session.request(settings);
    const exposure = describeExposure(settings);
    if (exposure) {
        session.output.note(`${pc.yellow("!")} ${exposure}`);
    }
    const drift = await findDrift(session, engine);
    await askForOthers(session, drift, permissions ?? { replaceForeign: false, takeOver: false });
    await ensureHost(session, settings);
    await startStopped(session);
    await askAfterPreview(session, engine, request, settings, passwords);
    // What another run is making is not in the state yet.
    engine.ensureFree(session);
    const replace = [...passwords, ...(await heal(session, settings, drift.differences))];
    if (ensureWorkspaceFolder(settings)) {
        session.output.note(`Made the folder ${settings.workspaceDir}; it is /workspace in the containers.`);
    }
    const before = deployedImages(session.project, session.stack);
    const { changes } = await deploy(session, settings, engine, request, replace);
    const removed = await removeOutdated(before, session);
    if (removed.length > 0) {
        session.output.note(`Removed what this stack no longer needs: ${removed.join(", ")}`);
    }
    if (passwords.length > 0) {
        forgetLogin(session.project);
    }
    await renewKnownHosts(session);
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
        rotated: changing.length > 0 ? changing.map(({ key }) => key) : undefined,
    });
}

/** The Docker provider takes a stopped container for one that is gone, and makes a new one. */
async function startStopped(session: Session): Promise<void> {
    try {
        await startStack(session, await stoppedContainers(session));
    } catch (error) {
        if (session.signal.aborted) {
            throw error;
        }
        // What does not get well as it is, the deployment makes anew.
        session.output.warn(messageOf(error));
    }
}

async function askAfterPreview(
    session: Session,
    engine: DeploymentEngine,
    request: DeploymentRequest,
    { tls, bindAddress }: Settings,
    replace: readonly string[],
): Promise<void> {
    if (session.options.yes) {
        return;
    }
    const { changes } = await engine.preview(request, { refresh: true, replace });
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
    replace: readonly string[],
): Promise<Outcome> {
    try {
        return await engine.up(request, { replace });
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
