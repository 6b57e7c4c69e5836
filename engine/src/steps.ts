import { subjectOf } from "./contexts";
import type { Change } from "./diff";
import { driverFor } from "./drivers";
import { EngineError, messageOf } from "./engine-error";
import { type Counts, noCounts, type Operation } from "./events";
import type { OpenStack } from "./open-stack";
import type { Snapshot } from "./snapshot";
import type { PendingOperation, ResourceState } from "./state";
import { isDefaultProvider, isProviderType } from "./urn";
import { markSecret } from "./values";

/**
 * Carries out single steps: tells the display, notes them as pending, calls the driver, and settles the snapshot.
 * In a preview it tells and changes nothing.
 */
export class Steps {
    readonly counts = noCounts();

    constructor(
        private readonly stack: OpenStack,
        private readonly snapshot: Snapshot,
    ) {}

    /**
     * Creates the resource and completes `state` with its id and outputs.
     * @param shown what the user is told: a replacement's second half is shown as `replace`.
     * @param old a resource that stays until the new one is there, and is then marked for deletion.
     */
    async create(
        state: ResourceState,
        shown: "create" | "replace",
        changes: Change[],
        old?: ResourceState,
    ): Promise<ResourceState> {
        const pending: PendingOperation = { type: "creating", resource: state };
        await this.run(shown, state, changes, pending, async () => {
            const context = this.stack.contexts.for(state);
            const { id, outputs, failure } = await driverFor(state.type).create(state.inputs, context);
            state.id = id;
            state.outputs = markSecret(outputs, state.additionalSecretOutputs ?? []);
            state.initErrors = failure ? [failure] : undefined;
            state.created = state.modified = new Date().toISOString();
            await this.snapshot.settle(state, old, pending);
            if (old) {
                await this.snapshot.settle({ ...old, delete: true });
            }
            if (failure) {
                throw new EngineError(failure);
            }
        });
        return state;
    }

    /** Changes the resource in place and completes `state` with its new outputs. */
    async update(state: ResourceState, old: ResourceState, changes: Change[]): Promise<ResourceState> {
        const pending: PendingOperation = { type: "updating", resource: old };
        await this.run("update", state, changes, pending, async () => {
            const context = this.stack.contexts.for(state);
            const outputs = await driverFor(state.type).update?.(old, state.inputs, context);
            state.outputs = markSecret(outputs ?? state.inputs, state.additionalSecretOutputs ?? []);
            state.modified = new Date().toISOString();
            await this.snapshot.settle(state, old, pending);
        });
        return state;
    }

    /**
     * Deletes the resource, or only forgets it where the program said so, which is shown as `keep`.
     * @param shown undefined for half a replacement.
     */
    async delete(old: ResourceState, shown: "delete" | undefined): Promise<void> {
        if (old.protect) {
            throw new EngineError(
                `${subjectOf(old).name} is protected: take the option "protect" away first.`,
            );
        }
        const isReal = old.custom && !old.retainOnDelete;
        const pending = isReal ? ({ type: "deleting", resource: old } as const) : undefined;
        const told = shown && old.retainOnDelete ? "keep" : shown;
        await this.run(told, old, [], pending, async () => {
            if (isReal) {
                await driverFor(old.type).delete(old, this.stack.contexts.for(old));
            }
            await this.snapshot.settle(undefined, old, pending);
        });
    }

    /** Counts and tells, and unless this is a preview does the work. */
    private async run(
        shown: Operation | undefined,
        state: ResourceState,
        changes: Change[],
        pending: PendingOperation | undefined,
        work: () => Promise<void>,
    ): Promise<void> {
        const { preview, display, signal } = this.stack;
        const subject = subjectOf(state);
        const told = isShown(state) ? shown : undefined;
        if (shown) {
            this.count(shown, state);
        }
        if (preview) {
            if (told) {
                display.show({ kind: "planned", operation: told, subject, changes });
            }
            return;
        }
        signal.throwIfAborted();
        const began = Date.now();
        if (told) {
            display.show({ kind: "started", operation: told, subject });
        }
        try {
            if (pending && !isProviderType(state.type)) {
                await this.snapshot.begin(pending);
            }
            await work();
        } catch (error) {
            await this.snapshot.settle(undefined, undefined, pending);
            // A terminal's Ctrl-C reaches child processes, too; their complaints are about that.
            const message = signal.aborted ? "interrupted" : messageOf(error);
            const operation = shown ?? "delete";
            display.show({ kind: "failed", operation, subject, message });
            throw new EngineError(
                `${subject.name} could not be ${PAST[operation]}. Mend that and run the same command again to go on.`,
            );
        }
        if (told) {
            const seconds = (Date.now() - began) / 1000;
            display.show({ kind: "finished", operation: told, subject, seconds });
        }
    }

    count(operation: keyof Counts, state: ResourceState): void {
        if (isShown(state)) {
            this.counts[operation]++;
        }
    }
}

const PAST: Record<Operation, string> = {
    create: "created",
    update: "updated",
    replace: "replaced",
    delete: "deleted",
    keep: "kept",
};

/** Components hold nothing of their own, and default providers are the engine's affair. */
function isShown(state: ResourceState): boolean {
    return state.custom === true && !(isProviderType(state.type) && isDefaultProvider(state.urn));
}
