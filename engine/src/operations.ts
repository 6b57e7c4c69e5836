import { Deployment, removeLeftovers } from "./deployment";
import { EngineError } from "./engine-error";
import type { Counts, Display } from "./events";
import { Monitor } from "./monitor";
import { type OpenStack, openStack, type StackLocation } from "./open-stack";
import { readProject, resolveConfig } from "./pulumi-files";
import { refreshSnapshot } from "./refresh";
import { runProgram } from "./run-program";
import { CheckpointFile, checkpointPath, type RecordedResource } from "./state";
import { STACK_TYPE } from "./urn";
import { type Props, reveal } from "./values";

export interface UpdateOptions extends StackLocation {
    display: Display;
    /**
     * Ends the run: running builds and commands and the program are stopped, the state is saved, and the call
     * rejects with an EngineError. To end at once, exit: the state on disk is whole at any moment.
     */
    signal?: AbortSignal;
    /** Look at the real things first, and mend what differs; default false. */
    refresh?: boolean;
    /** For `preview` and `up`: names of resources to replace, whether anything of them has changed or not. */
    replace?: readonly string[];
}

export interface DestroyOptions extends UpdateOptions {
    /** Resources of these types stay as they are, and everything that they need, the stack and its outputs too. */
    spare?: readonly string[];
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
        const changes = await refreshSnapshot(stack);
        return { changes, outputs: await rootOutputs(stack) };
    });
}

/**
 * Deletes everything but what the program marked `retainOnDelete` and what is to be spared, without running the program.
 * @throws EngineError, as `preview`; also when something is protected, and then nothing is deleted.
 */
export function destroy(options: DestroyOptions): Promise<UpdateResult> {
    return operate(options, "write", async (stack) => {
        const deployment = await openDeployment(stack, { refresh: false });
        await deployment.deleteRest(options.spare);
        return { changes: deployment.counts, outputs: {} };
    });
}

/** The program's configuration with its secrets in clear: texts by key, each with its namespace. */
export async function stackConfig(location: StackLocation): Promise<Record<string, string>> {
    const stack = openStack({ ...location, display: { show: () => {} } }, "read");
    try {
        return (await configOf(stack)).values;
    } finally {
        stack.close();
    }
}

/** The resources that the stack's state records, in the order of their making, with their secrets closed. */
export function stackResources({
    projectDir,
    stateDir,
    stack,
}: Omit<StackLocation, "passphrase">): readonly RecordedResource[] {
    return new CheckpointFile(checkpointPath(stateDir, readProject(projectDir).name, stack)).recorded;
}

/** The outputs of the last `up`, secrets as "[secret]" unless they are to be shown. */
export async function stackOutputs(
    location: StackLocation,
    { showSecrets }: { showSecrets: boolean },
): Promise<Record<string, unknown>> {
    const stack = openStack({ ...location, display: { show: () => {} } }, "read");
    try {
        const outputs = await rootOutputs(stack);
        return plain(showSecrets ? reveal(outputs) : outputs);
    } finally {
        stack.close();
    }
}

/** Opens the stack, does the work, tells the sum, and closes whatever happens. */
async function operate(
    options: UpdateOptions,
    mode: "read" | "write",
    work: (stack: OpenStack, options: UpdateOptions) => Promise<UpdateResult>,
): Promise<UpdateResult> {
    const began = Date.now();
    const stack = openStack(options, mode);
    const { preview, display } = stack;
    try {
        const { changes, outputs } = await work(stack, options);
        options.signal?.throwIfAborted();
        display.show({ kind: "summary", preview, counts: changes, seconds: (Date.now() - began) / 1000 });
        return { changes, outputs: plain(outputs) };
    } catch (error) {
        throw options.signal?.aborted
            ? new EngineError("Interrupted; run the same command again to continue.")
            : error;
    } finally {
        stack.close();
    }
}

/** Runs the program against the stack. The program starts while the state is still being opened and refreshed. */
async function deploy(stack: OpenStack, options: UpdateOptions): Promise<UpdateResult> {
    const opening = openDeployment(stack, options);
    opening.catch(() => stack.stop());
    const monitor = new Monitor(opening);
    try {
        const program = await runProgram(stack, {
            config: await configOf(stack),
            monitor: await monitor.listen(),
            output: (text) => monitor.log("info", text),
        });
        const deployment = await opening;
        await deployment.settled();
        if (program.exitCode !== 0) {
            throw new EngineError(
                `The program failed with exit code ${program.exitCode}; what it said is above.`,
            );
        }
        await deployment.deleteRest();
        return { changes: deployment.counts, outputs: deployment.outputs };
    } finally {
        monitor.close();
    }
}

async function openDeployment(
    stack: OpenStack,
    { refresh, replace }: Pick<UpdateOptions, "refresh" | "replace">,
): Promise<Deployment> {
    if (refresh) {
        await refreshSnapshot(stack);
    }
    if (!stack.preview) {
        await removeLeftovers(stack);
    }
    return new Deployment(stack, (await stack.state).snapshot, replace);
}

/** The program's configuration. Only encrypted values have to wait for the passphrase's key. */
async function configOf({ project, stackFile, state }: OpenStack) {
    const encrypted = JSON.stringify(stackFile.config).includes('"secure":');
    const crypter = encrypted ? (await state).crypter : undefined;
    return resolveConfig(project, stackFile, (text) => crypter?.decrypt(text) ?? text);
}

async function rootOutputs({ state }: OpenStack): Promise<Props> {
    const resources = (await state).snapshot.resources();
    return resources.find((resource) => resource.type === STACK_TYPE)?.outputs ?? {};
}

/** As JSON has it: secrets and unknown values by name. */
function plain(outputs: unknown): Record<string, unknown> {
    return JSON.parse(JSON.stringify(outputs));
}
