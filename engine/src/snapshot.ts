import { type CheckpointTarget, type PendingOperation, type ResourceState, writeCheckpoint } from "./state";

/**
 * The stack's resources while an operation runs: those of the last checkpoint that are still as they were, and
 * those this run has dealt with, in the order in which it did (so that dependencies come first).
 */
export class Snapshot {
    private readonly settled: ResourceState[] = [];
    private readonly superseded = new Set<ResourceState>();
    private readonly pending: Set<PendingOperation>;
    private writing: Promise<void> = Promise.resolve();
    private dirty = false;

    constructor(
        private readonly base: readonly ResourceState[],
        /** What an interrupted run noted; it stays noted until it is settled. */
        interrupted: readonly PendingOperation[],
        /** Where to write; undefined in a preview, which leaves no trace. */
        private readonly target: CheckpointTarget | undefined,
    ) {
        this.pending = new Set(interrupted);
    }

    /** Every resource that exists now, dependencies first. */
    resources(): ResourceState[] {
        return [...this.settled, ...this.base].filter((resource) => !this.superseded.has(resource));
    }

    /** Notes that something is about to happen, before it does. */
    async begin(operation: PendingOperation): Promise<void> {
        this.pending.add(operation);
        await this.save();
    }

    /** Puts `now` in the place of `old` and ends `operation`; any of the three may be missing. */
    async settle(now?: ResourceState, old?: ResourceState, operation?: PendingOperation): Promise<void> {
        this.keep(now, old, operation);
        await this.save();
    }

    /** As `settle`, where nothing changes that would be worth writing. */
    keep(now?: ResourceState, old?: ResourceState, operation?: PendingOperation): void {
        if (old) {
            this.superseded.add(old);
        }
        if (now) {
            this.settled.push(now);
        }
        if (operation) {
            this.pending.delete(operation);
        }
    }

    /** Writes the checkpoint. Calls that come while it is being written share the next write. */
    async save(): Promise<void> {
        const { target } = this;
        if (!target) {
            return;
        }
        this.dirty = true;
        this.writing = this.writing.then(async () => {
            if (this.dirty) {
                this.dirty = false;
                await writeCheckpoint(target, this.resources(), [...this.pending]);
            }
        });
        await this.writing;
    }
}
