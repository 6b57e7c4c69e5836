import { Deployment } from "./deployment";
import { EngineError } from "./engine-error";
import type { Counts, Display } from "./events";
import { Monitor, type MonitorHandler } from "./monitor";
import { interruptedError, type OpenStack, openStack, type StackLocation } from "./open-stack";
import { resolveConfig } from "./pulumi-files";
import { refreshSnapshot } from "./refresh";
import { runProgram } from "./run-program";
import type { ResourceState } from "./state";
import { StepFailed } from "./steps";
import { STACK_TYPE } from "./urn";
import { maskSecrets, type Props, reveal } from "./values";

export interface UpdateOptions extends StackLocation {
    display: Display;
    /**
     * Ends the run: running builds and commands and the program are stopped, the state is saved, and the call
     * rejects with an EngineError. To end at once, exit: the state on disk is whole at any moment.
     */
    signal?: AbortSignal;
    /** Look at the real things first, and mend what differs; default false. */
    refresh?: boolean;
}

export interface UpdateResult {
    /** Resources by what was done to them, or would be; components and default providers are not counted. */
    changes: Counts;
    /** Stack outputs, secrets as "[secret]". What only an update can tell is "[unknown]" in a preview. */
    outputs: Record<string, unknown>;
}

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
    return operate(options, "write", async (stack) => {
        const { snapshot } = await stack.state;
        const counts = await refreshSnapshot(snapshot, stack.contexts, stack.limiter, stack.display);
        return { counts, outputs: rootOutputs(snapshot.resources()) };
    });
}

/**
 * Deletes everything but what the program marked `retainOnDelete`, without running the program.
 * @throws EngineError, as `preview`; also when something is protected, and then nothing is deleted.
 */
export function destroy(options: UpdateOptions): Promise<UpdateResult> {
    return operate(options, "write", async (stack) => {
        const deployment = await openDeployment(stack, { preview: false });
        await deployment.deleteRest();
        return { counts: deployment.counts, outputs: {} };
    });
}

/** The outputs of the last `up`, secrets as "[secret]" unless they are to be shown. */
export async function stackOutputs(
    location: StackLocation,
    { showSecrets }: { showSecrets: boolean },
): Promise<Record<string, unknown>> {
    const stack = openStack({ ...location, display: { show: () => {} } }, "read");
    try {
        const outputs = rootOutputs((await stack.state).snapshot.resources());
        return plain(showSecrets ? reveal(outputs) : masked(outputs));
    } finally {
        stack.close();
    }
}

interface Outcome {
    counts: Counts;
    outputs: Props;
}

/** Opens the stack, does the work, tells the sum, and closes whatever happens. */
async function operate(
    options: UpdateOptions,
    mode: "read" | "write",
    work: (stack: OpenStack, how: { preview: boolean; refresh?: boolean }) => Promise<Outcome>,
): Promise<UpdateResult> {
    const began = Date.now();
    const preview = mode === "read";
    const stack = openStack(options, mode);
    try {
        const { counts, outputs } = await work(stack, { preview, refresh: options.refresh });
        if (stack.signal.aborted) {
            throw interruptedError();
        }
        options.display.show({ kind: "summary", preview, counts, seconds: (Date.now() - began) / 1000 });
        return { changes: counts, outputs: plain(masked(outputs)) };
    } catch (error) {
        throw options.signal?.aborted ? interruptedError() : withAdvice(error);
    } finally {
        stack.close();
    }
}

function withAdvice(error: unknown): unknown {
    return error instanceof StepFailed
        ? new EngineError(`${error.message} Mend that and run the same command again to go on.`)
        : error;
}

/** Runs the program against the stack. The program starts while the state is still being opened and refreshed. */
async function deploy(stack: OpenStack, how: { preview: boolean; refresh?: boolean }): Promise<Outcome> {
    const opening = openDeployment(stack, how);
    opening.catch(() => stack.stop());
    const handler = whenOpen(opening);
    const monitor = new Monitor(handler);
    try {
        const program = await runProgram({
            project: stack.project,
            stack: stack.name,
            config: await configOf(stack),
            monitor: await monitor.listen(),
            preview: how.preview,
            signal: stack.signal,
            output: (text) => handler.log("info", text),
        });
        const deployment = await opening;
        await deployment.settled();
        if (program.exitCode !== 0) {
            throw stack.signal.aborted
                ? interruptedError()
                : new EngineError(
                      `The program failed with exit code ${program.exitCode}; what it said is above.`,
                  );
        }
        await deployment.deleteRest();
        return { counts: deployment.counts, outputs: deployment.outputs };
    } finally {
        monitor.close();
    }
}

async function openDeployment(
    stack: OpenStack,
    how: { preview: boolean; refresh?: boolean },
): Promise<Deployment> {
    const { snapshot, interrupted } = await stack.state;
    const { contexts, limiter, display, signal, project, name } = stack;
    if (how.refresh) {
        await refreshSnapshot(snapshot, contexts, limiter, display);
    }
    const environment = { preview: how.preview, snapshot, contexts, limiter, display, signal };
    return new Deployment({ ...environment, project: project.name, stack: name, interrupted });
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
async function configOf({ project, stackFile, state }: OpenStack) {
    const encrypted = JSON.stringify(stackFile.config).includes('"secure":');
    const crypter = encrypted ? (await state).crypter : undefined;
    return resolveConfig(project, stackFile, (text) => crypter?.decrypt(text) ?? text);
}

function rootOutputs(resources: ResourceState[]): Props {
    return resources.find((resource) => resource.type === STACK_TYPE)?.outputs ?? {};
}

const masked = (outputs: Props) => maskSecrets(outputs, "[secret]");

/** As JSON has it: unknown values by name. */
function plain(outputs: unknown): Record<string, unknown> {
    return JSON.parse(JSON.stringify(outputs));
}
