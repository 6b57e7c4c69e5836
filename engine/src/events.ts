import type { Change } from "./diff";
import type { Severity } from "./monitor";
import type { ResourceState } from "./state";

/** What is done to a resource. `keep`: it leaves the state, and the real thing stays (`retainOnDelete`). */
export type Operation = "create" | "update" | "replace" | "delete" | "keep";

/** A resource in an event. */
export type Subject = Pick<ResourceState, "urn" | "type"> & { name: string };

/** What an operation tells while it runs; a `Display` turns it into text. */
export type EngineEvent =
    /** A preview's finding. `changes` are the properties that differ, secrets still wrapped. */
    | { kind: "planned"; operation: Operation; subject: Subject; changes: Change[] }
    | { kind: "started"; operation: Operation; subject: Subject }
    /** A line about a step that runs, such as a build's. */
    | { kind: "progress"; subject: Subject; line: string }
    | { kind: "finished"; operation: Operation; subject: Subject; seconds: number }
    | { kind: "failed"; operation: Operation; subject: Subject; message: string }
    /** A refresh found the resource different from, or missing against, the state. */
    | { kind: "drifted"; subject: Subject; gone: boolean; changes: Change[] }
    /** Said by the program, by a command that it ran, or by the engine. */
    | { kind: "message"; severity: Severity; text: string; subject?: Subject }
    | { kind: "summary"; preview: boolean; counts: Counts; seconds: number };

export type Counts = Record<"create" | "update" | "replace" | "delete" | "keep" | "same", number>;

export function noCounts(): Counts {
    return { create: 0, update: 0, replace: 0, delete: 0, keep: 0, same: 0 };
}

/** Where events go. */
export interface Display {
    show(event: EngineEvent): void;
}
