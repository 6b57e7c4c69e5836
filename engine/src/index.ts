import { Deployment } from "./deployment";
import { EngineError } from "./errors";
import type { Counts } from "./events";
import { Monitor, type MonitorHandler } from "./monitor";
import { runProgram } from "./program";
import { resolveConfig } from "./project";
import { refreshSnapshot } from "./refresh";
import {
    type EngineOptions,
    interruptedError,
    openSession,
    type Session,
    type StackLocation,
} from "./session";
import type { ResourceState } from "./state";
import { StepFailed } from "./steps";
import { STACK_TYPE } from "./urn";
import { maskSecrets, type Props, reveal } from "./values";

export { createDisplay, type DisplayOptions } from "./display";
export { EngineError } from "./errors";
export type { Counts, Display, EngineEvent } from "./events";
export type { EngineOptions, StackLocation } from "./session";

export interface UpdateOptions extends EngineOptions {
    /** Look at the real things first, and mend what differs; default false. */
    refresh?: boolean;
    /** Reject with `UnexpectedChanges` when anything would change, or did; default false. */
    expectNoChanges?: boolean;
    /** Show secret outputs in clear in the result; default "[secret]" stands for them. */
    showSecrets?: boolean;
}

export interface UpdateResult {
    /** Resources by what was done to them, or would be; components and default providers are not counted. */
    changes: Counts;
    /** Stack outputs. What only an update can tell is `[unknown]` in a preview. */
    outputs: Record<string, unknown>;
    durationMs: number;
}

/** There were changes where none were expected. */
export class UnexpectedChanges extends EngineError {
    constructor(readonly changes: Counts) {
        super("There are changes, and none were expected.");
    }
}

const SECRET_MASK = "[secret]";

/**
 * Runs the program and tells what `up` would do. Touches nothing, takes no lock.
 * @throws EngineError with a sentence for the user; what went wrong in detail went to the display.
 */
export function preview(options: UpdateOptions): Promise<UpdateResult> {
    return operate(options, "read", deploy);
}

/**
 * Runs the program and makes everything as it says: creates, updates, replaces, deletes what it no longer names.
 * The state is saved after every step, so a run that fails or is interrupted can be repeated.
 * @throws EngineError, as `preview`.
 */
export function up(options: UpdateOptions): Promise<UpdateResult> {
    return operate(options, "write", deploy);
}

/**
 * Looks at the real things and records what it finds, without running the program. What differs counts as
 * `update`, what is gone as `delete`.
 * @throws EngineError, as `preview`.
 */
export function refresh(options: UpdateOptions): Promise<UpdateResult> {
    return operate(options, "write", async (session) => {
        const { snapshot } = await session.state;
        const counts = await refreshSnapshot(snapshot, session.contexts, session.limiter, session.display);
        return { counts, outputs: rootOutputs(snapshot.resources()) };
    });
}

/**
 * Deletes everything but what the program marked `retainOnDelete`, without running the program.
 * @throws EngineError, as `preview`; also when something is protected, and then nothing is deleted.
 */
export function destroy(options: UpdateOptions): Promise<UpdateResult> {
    return operate(options, "write", async (session) => {
        const deployment = await openDeployment(session, false);
        await deployment.deleteRest();
        return { counts: deployment.counts, outputs: {} };
    });
}

/** The outputs of the last `up`, secrets as "[secret]" unless they are to be shown. */
export async function stackOutputs(
    location: StackLocation,
    options: { showSecrets: boolean },
): Promise<Record<string, unknown>> {
    return present(rootOutputs(await readResources(location)), options.showSecrets);
}

/** What the last `up` left, in order of dependency; secrets as "[secret]". */
export async function stackResources(
    location: StackLocation,
): Promise<{ urn: string; type: string; id?: string; outputs: Record<string, unknown> }[]> {
    const resources = await readResources(location);
    return resources.map(({ urn, type, id, outputs }) => ({
        urn,
        type,
        id,
        outputs: present(outputs, false),
    }));
}

async function readResources(location: StackLocation): Promise<ResourceState[]> {
    const session = openSession({ ...location, display: SILENT }, "read");
    try {
        return (await session.state).snapshot.resources();
    } finally {
        session.close();
    }
}

const SILENT = { show: () => {}, close: () => {} };

interface Outcome {
    counts: Counts;
    outputs: Props;
}

/** Opens the stack, does the work, tells the sum, and closes whatever happens. */
async function operate(
    options: UpdateOptions,
    mode: "read" | "write",
    work: (session: Session, options: UpdateOptions, preview: boolean) => Promise<Outcome>,
): Promise<UpdateResult> {
    const began = Date.now();
    const session = openSession(options, mode);
    try {
        const { counts, outputs } = await work(session, options, mode === "read");
        if (session.signal.aborted) {
            throw interruptedError();
        }
        const durationMs = Date.now() - began;
        session.display.show({
            kind: "summary",
            preview: mode === "read",
            counts,
            seconds: durationMs / 1000,
        });
        if (options.expectNoChanges && counts.create + counts.update + counts.replace + counts.delete > 0) {
            throw new UnexpectedChanges(counts);
        }
        return { changes: counts, outputs: present(outputs, options.showSecrets ?? false), durationMs };
    } catch (error) {
        throw options.signal?.aborted ? interruptedError() : withAdvice(error);
    } finally {
        session.close();
    }
}

function withAdvice(error: unknown): unknown {
    return error instanceof StepFailed
        ? new EngineError(`${error.message} Mend that and run the same command again to go on.`)
        : error;
}

/** Runs the program against the stack. The program starts while the state is still being opened and refreshed. */
async function deploy(session: Session, options: UpdateOptions, isPreview: boolean): Promise<Outcome> {
    const opening = openDeployment(session, isPreview, options.refresh);
    opening.catch(() => session.stop());
    const handler = whenOpen(opening);
    const monitor = new Monitor(handler);
    try {
        const program = await runProgram({
            project: session.project,
            stack: session.stack,
            config: await configOf(session),
            monitor: await monitor.listen(),
            parallel: session.parallel,
            preview: isPreview,
            env: session.env,
            signal: session.signal,
            output: (text) => handler.log("info", text),
        });
        const deployment = await opening;
        await deployment.settled();
        if (!program.succeeded) {
            throw session.signal.aborted ? interruptedError() : programFailed(program.exitCode);
        }
        await deployment.deleteRest();
        return { counts: deployment.counts, outputs: deployment.outputs };
    } finally {
        monitor.close();
    }
}

function programFailed(exitCode: number | undefined): EngineError {
    return new EngineError(`The program failed with exit code ${exitCode}; what it said is above.`);
}

async function openDeployment(
    session: Session,
    isPreview: boolean,
    refreshFirst = false,
): Promise<Deployment> {
    const { snapshot, interrupted } = await session.state;
    const { contexts, limiter, display, signal, stack } = session;
    if (refreshFirst) {
        await refreshSnapshot(snapshot, contexts, limiter, display);
    }
    const environment = { preview: isPreview, snapshot, contexts, limiter, display, signal };
    return new Deployment({ ...environment, project: session.project.name, stack, interrupted });
}

/** Lets the program's calls wait until the deployment is open. */
function whenOpen(opening: Promise<Deployment>): MonitorHandler {
    return {
        registerResource: async (registration) => (await opening).registerResource(registration),
        registerOutputs: async (urn, outputs) => (await opening).registerOutputs(urn, outputs),
        fail: (error) => void opening.then((deployment) => deployment.fail(error)).catch(() => {}),
        log: (severity, text) =>
            void opening.then((deployment) => deployment.log(severity, text)).catch(() => {}),
    };
}

/** The program's configuration. Only encrypted values have to wait for the passphrase's key. */
async function configOf({ project, stack, stackFile, state }: Session) {
    const encrypted = JSON.stringify(stackFile.config).includes('"secure":');
    const crypter = encrypted ? (await state).crypter : undefined;
    return resolveConfig(project, stack, stackFile, (text) => crypter?.decrypt(text) ?? text);
}

function rootOutputs(resources: ResourceState[]): Props {
    return resources.find((resource) => resource.type === STACK_TYPE)?.outputs ?? {};
}

function present(outputs: Props, showSecrets: boolean): Record<string, unknown> {
    const shown = showSecrets ? reveal(outputs) : maskSecrets(outputs, SECRET_MASK);
    return JSON.parse(JSON.stringify(shown));
}
