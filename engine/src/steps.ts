import { type Contexts, subjectOf } from "./contexts";
import type { Change } from "./diff";
import { driverFor } from "./drivers";
import { EngineError, messageOf } from "./engine-error";
import type { Counts, Display, Operation } from "./events";
import type { Limiter } from "./limiter";
import type { Snapshot } from "./snapshot";
import type { PendingOperation, ResourceState } from "./state";
import { isDefaultProvider, isProviderType } from "./urn";
import { markSecret } from "./values";

/** What steps need of the run that they belong to. */
export interface StepEnvironment {
    preview: boolean;
    snapshot: Snapshot;
    contexts: Contexts;
    limiter: Limiter;
    display: Display;
    signal: AbortSignal;
}

/**
 * Carries out single steps: tells the display, notes them as pending, calls the driver, and settles the snapshot.
 * In a preview it tells and changes nothing.
 */
export class Steps {
    readonly counts: Counts = { create: 0, update: 0, replace: 0, delete: 0, same: 0 };

    constructor(private readonly environment: StepEnvironment) {}

    /**
     * Creates the resource and completes `state` with its id and outputs.
     * @param shown what the user is told: a replacement's second half is shown as `replace`.
     * @param old a resource that stays until the new one is there, and is then marked for deletion.
     */
    async create(
        state: ResourceState,
        shown: "create" | "replace",
        changes: Change[],
        interrupted: PendingOperation | undefined,
        old?: ResourceState,
    ): Promise<ResourceState> {
        const { snapshot, contexts } = this.environment;
        const context = contexts.for(state, interrupted?.resource.inputs);
        await this.run(shown, state, changes, { type: "creating", resource: state }, async (pending) => {
            const created = await driverFor(state.type).create(state.inputs, context);
            const made: ResourceState = {
                ...state,
                id: created.id,
                outputs: markSecret(created.outputs, state.additionalSecretOutputs ?? []),
                initErrors: created.failure ? [created.failure] : undefined,
                ...stamp(),
            };
            Object.assign(state, made);
            await snapshot.settle(state, old, pending);
            if (old) {
                await snapshot.settle({ ...old, delete: true });
            }
            if (interrupted) {
                await snapshot.settle(undefined, undefined, interrupted);
            }
            if (created.failure) {
                throw new EngineError(created.failure);
            }
        });
        return state;
    }

    /** Changes the resource in place and completes `state` with its new outputs. */
    async update(state: ResourceState, old: ResourceState, changes: Change[]): Promise<ResourceState> {
        const driver = driverFor(state.type);
        const context = this.environment.contexts.for(state);
        await this.run("update", state, changes, { type: "updating", resource: old }, async (pending) => {
            const outputs = (await driver.update?.(old, state.inputs, context)) ?? state.inputs;
            state.outputs = markSecret(outputs, state.additionalSecretOutputs ?? []);
            state.modified = new Date().toISOString();
            await this.environment.snapshot.settle(state, old, pending);
        });
        return state;
    }

    /** Deletes the resource, or only forgets it where the program said so. `shown` is undefined for half a replacement. */
    async delete(old: ResourceState, shown: "delete" | undefined): Promise<void> {
        const { snapshot, contexts } = this.environment;
        if (old.protect) {
            throw new EngineError(
                `${subjectOf(old).name} is protected: take the option "protect" away first.`,
            );
        }
        const isReal = old.custom && !old.retainOnDelete;
        const pending: PendingOperation | undefined = isReal
            ? { type: "deleting", resource: old }
            : undefined;
        await this.run(shown, old, [], pending, async () => {
            if (isReal) {
                await driverFor(old.type).delete(old, contexts.for(old));
            }
            await snapshot.settle(undefined, old, pending);
        });
    }

    /** Counts and tells, and unless this is a preview does the work. */
    private async run(
        operation: Operation | undefined,
        state: ResourceState,
        changes: Change[],
        pending: PendingOperation | undefined,
        work: (pending: PendingOperation | undefined) => Promise<void>,
    ): Promise<void> {
        const { preview, display, limiter, snapshot, signal } = this.environment;
        const subject = subjectOf(state);
        const tell = operation !== undefined && isShown(state);
        if (operation) {
            this.count(operation, state);
        }
        if (preview) {
            if (tell) {
                display.show({ kind: "planned", operation, subject, changes });
            }
            return;
        }
        await limiter.run(async () => {
            signal.throwIfAborted();
            const began = Date.now();
            const seconds = () => (Date.now() - began) / 1000;
            if (tell) {
                display.show({ kind: "started", operation, subject });
            }
            try {
                if (pending && !isProviderType(state.type)) {
                    await snapshot.begin(pending);
                }
                await work(pending);
            } catch (error) {
                await snapshot.settle(undefined, undefined, pending);
                // A terminal's Ctrl-C reaches child processes, too; their complaints are about that.
                const message = signal.aborted ? "interrupted" : messageOf(error);
                display.show({
                    kind: "failed",
                    operation: operation ?? "delete",
                    subject,
                    seconds: seconds(),
                    message,
                });
                throw new StepFailed(`${subject.name} could not be ${operation ?? "delete"}d.`);
            }
            if (tell) {
                display.show({ kind: "finished", operation, subject, seconds: seconds() });
            }
        });
    }

    count(operation: keyof Counts, state: ResourceState): void {
        if (isShown(state)) {
            this.counts[operation]++;
        }
    }
}

/** A step failed, and the display has told why. */
export class StepFailed extends EngineError {}

/** Components hold nothing of their own, and default providers are the engine's affair. */
function isShown(state: ResourceState): boolean {
    return state.custom && !(isProviderType(state.type) && isDefaultProvider(state.urn));
}

function stamp(): { created: string; modified: string } {
    const now = new Date().toISOString();
    return { created: now, modified: now };
}
