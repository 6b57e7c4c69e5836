import type { Crypter } from "./crypto";
import { type PendingOperation, type ResourceState, writeCheckpoint } from "./state";

/**
 * The stack's resources while an operation runs: those of the last checkpoint that are still as they were, and
 * those this run has dealt with, in the order in which it did (so that dependencies come first).
 */
export class Snapshot {
    private readonly settled: ResourceState[] = [];
    private readonly superseded = new Set<ResourceState>();
    private readonly pending = new Set<PendingOperation>();
    private writing: Promise<void> = Promise.resolve();
    private dirty = false;

    constructor(
        private readonly base: readonly ResourceState[],
        /** Where to write; undefined in a preview, which leaves no trace. */
        private readonly file: { path: string; stack: string; crypter: Crypter } | undefined,
    ) {}

    /** Every resource that exists now, dependencies first. */
    resources(): ResourceState[] {
        return [...this.settled, ...this.base].filter((resource) => !this.superseded.has(resource));
    }

    /** Notes that something is about to happen, before it does. */
    async begin(operation: PendingOperation): Promise<void> {
        this.pending.add(operation);
        await this.save();
    }

    /** Takes over a note from an interrupted run without writing it again. */
    remember(operation: PendingOperation): void {
        this.pending.add(operation);
    }

    /** Puts `now` in the place of `old` and ends `operation`; any of the three may be missing. */
    async settle(now?: ResourceState, old?: ResourceState, operation?: PendingOperation): Promise<void> {
        this.replace(now, old, operation);
        await this.save();
    }

    /** As `settle`, for a resource of which nothing changed that would be worth writing. */
    keep(now: ResourceState, old: ResourceState): void {
        this.replace(now, old);
    }

    private replace(now?: ResourceState, old?: ResourceState, operation?: PendingOperation): void {
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
        const { file } = this;
        if (!file) {
            return;
        }
        this.dirty = true;
        this.writing = this.writing.then(async () => {
            if (this.dirty) {
                this.dirty = false;
                await writeCheckpoint(file.path, file.stack, file.crypter, this.resources(), [
                    ...this.pending,
                ]);
            }
        });
        await this.writing;
    }
}
