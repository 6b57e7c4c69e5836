import type { Command } from "commander";
import pc from "picocolors";
import type { Settings } from "../../settings/parse";
import { serverName } from "../../settings/server";
import { action, type Handler } from "../action";
import { ensureNotRestoring } from "../backup/journal";
import { runChecks } from "../checks/check";
import { portChecks } from "../checks/ports";
import { confirm, ensureAnswerable } from "../confirm";
import { deployedImages, removeOutdated } from "../deployedImages";
import { type StackOutputs, stackOutputs, type Verification, verificationOf } from "../documents";
import { findDrift } from "../drift";
import { describeLoss, ofKind } from "../drift/difference";
import { heal } from "../drift/heal";
import { askForOthers, type Permissions } from "../drift/others";
import type { DeploymentEngine, DeploymentRequest, Outcome } from "../engines/types";
import { messageOf, UserError } from "../errors";
import { describeExposure } from "../exposure";
import { readFingerprints } from "../fingerprints";
import { generationTags, recordGood, runningGeneration } from "../generations";
import { ensureHealthy } from "../health";
import { ensureHost } from "../host/control";
import { renewKnownHosts } from "../knownHosts";
import { hasRun, startStack, stoppedContainers } from "../lifecycle";
import { forgetLogin } from "../login";
import { permissionOptions } from "../permissionOptions";
import { ensureReady } from "../preflight";
import type { Session } from "../session";
import { ensureSettingsOpen } from "../stackState";
import { describeFailures, hasChanges, upSummary } from "../summary";
import { spread } from "../swarm/balance";
import { proveNodes } from "../swarm/proof";
import { ensureServicesRun } from "../swarm/services";
import { verificationTable } from "../tables";
import { afterFailure, beginUpgrade, leaveOrSayHeld } from "../upgrade";
import { runVerification } from "../verification";
import { ensureWorkspaceFolder } from "../workspaceFolder";

/** `carbon up`. */
export function addUp(program: Command): void {
    const command = program
        .command("up")
        .description("build what has changed, launch it, check it, and say where everything is");
    permissionOptions(command)
        .option("--rollback", "where images were changed and it fails, put those of before back")
        .option("--no-rollback", "where it fails, leave everything as it is")
        .option("--new-images", "leave the images that a rollback put back, and try the new ones", false)
        .action(action(up));
}

interface UpFlags extends Permissions {
    /** Absent where the command line does not say. */
    rollback?: boolean;
    newImages: boolean;
}

const up: Handler<UpFlags> = async (session, { rollback, newImages, ...permissions }) => {
    ensureAnswerable(session, "up");
    await leaveOrSayHeld(session, newImages);
    await bringUp(session, { permissions, rollback });
};

/** A password of the stack's. */
export interface Password {
    /** Its login's key in the output `credentials`. */
    key: string;
    /** Name of its resource. */
    resource: string;
}

/** How a stack is brought up. */
interface UpOptions {
    changing?: readonly Password[];
    permissions?: Permissions;
    rollback?: boolean;
    report?(text: string, document: object): void;
}

/**
 * Deploys, checks, and says where everything is.
 *
 * @param options.changing Passwords that are made anew.
 * @param options.permissions To take away what is not the stack's; none when absent.
 * @param options.rollback Whether the images of before are put back where it fails; absent where the setting or the user
 *     says.
 * @param options.report Takes the answer; prints it when absent.
 */
export async function bringUp(session: Session, options: UpOptions = {}): Promise<void> {
    const { changing = [], permissions, rollback } = options;
    const report = options.report ?? ((text, document) => session.output.result(text, document));
    ensureNotRestoring(session);
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
    const forgotten = await ensureSettingsOpen(session);
    if (forgotten) {
        session.output.note(forgotten);
    }
    const drift = await findDrift(session, engine);
    await askForOthers(session, drift, permissions ?? { replaceForeign: false, takeOver: false });
    for (const { what } of ofKind(drift.differences, "missing-volume")) {
        session.output.warn(describeLoss(what, session));
    }
    await ensureHost(session, settings);
    await startStopped(session, drift.containers);
    await askAfterPreview(session, engine, request, settings, passwords);
    // What another run is making is not in the state yet.
    engine.ensureFree(session);
    if (await ensureWorkspaceFolder(settings)) {
        const where = settings.server ? ` on ${serverName(settings.server)}` : "";
        session.output.note(
            `Made the folder ${settings.workspaceDir}${where}; it is /workspace in the containers.`,
        );
    }
    await proveNodes(session, settings);
    const replace = [...passwords, ...(await heal(session, settings, drift.differences))];
    const { project, stack } = session;
    const before = [...deployedImages(project, stack), ...generationTags(project, stack)];
    const upgrade = await beginUpgrade(session, settings);
    const { changes, outputs } = await deployWell(session, settings, engine, request, replace).catch(
        async (error) => {
            throw await afterFailure(session, engine, upgrade, error, rollback);
        },
    );
    await recordGood(session, await runningGeneration(settings, outputs.images));
    const removed = await removeOutdated(before, session);
    if (removed.length > 0) {
        session.output.note(`Removed what this stack no longer needs: ${removed.join(", ")}`);
    }
    if (passwords.length > 0) {
        forgetLogin(session.project);
    }
    await renewKnownHosts(session);
    const fingerprints = settings.tls ? await readFingerprints(session.stack) : undefined;
    const milliseconds = Date.now() - started;
    const { urls, images, verification } = outputs;
    report(upSummary(session, outputs, { milliseconds, changes, fingerprints }), {
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

/**
 * The Docker provider takes a stopped container for one that is gone, and makes a new one.
 *
 * @param own Ids of the containers that the state has: another clone's are not this one's to start.
 */
async function startStopped(session: Session, own: readonly string[]): Promise<void> {
    try {
        const stopped = await stoppedContainers(session);
        await startStack(
            session,
            stopped.filter((container) => own.includes(container.Id) && hasRun(container)),
        );
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

/** Deploys, and sees that every container is well and that its ports answer on this machine. */
async function deployWell(
    session: Session,
    settings: Settings,
    engine: DeploymentEngine,
    request: DeploymentRequest,
    replace: readonly string[],
): Promise<Outcome & { outputs: StackOutputs }> {
    const { changes } = await deploy(session, settings, engine, request, replace);
    await ensureHealthy(session);
    if (settings.swarmServices.length > 0) {
        await ensureServicesRun(session);
        await spread(session, settings);
    }
    const outputs = await session.outputsAs(stackOutputs, { showSecrets: false });
    return { changes, outputs: { ...outputs, verification: await withPorts(session, settings, outputs) } };
}

/**
 * The check's document with what this machine sees of the ports.
 *
 * @throws UserError when one of them does not answer, unless `verify` is to report.
 */
async function withPorts(
    session: Session,
    { verify }: Settings,
    { verification }: StackOutputs,
): Promise<StackOutputs["verification"]> {
    if (verify === "off") {
        return verification;
    }
    const seen = verificationOf("host", await runChecks(await portChecks(session), session.signal));
    const document = verification
        ? verificationOf(verification.target, [...verification.checks, ...seen.checks])
        : seen;
    if (verify === "strict" && seen.summary.fail > 0) {
        failBy(session, document);
    }
    return document;
}

/** Ends the deployment with the table of a check in which something failed. */
function failBy(session: Session, verification: Verification): never {
    session.output.note(`\n${verificationTable(verification, session.width)}\n`);
    throw new UserError(
        `${describeFailures(verification)}. Mend it and type \`./carbon up${session.stackFlag()}\` again, or set carbon:verify to report.`,
    );
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
        failBy(session, verification);
    }
}
