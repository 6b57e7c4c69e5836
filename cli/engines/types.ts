import type { Settings } from "../../settings/parse";
import type { Output } from "../output";
import type { Project } from "../project";

/** What to do with which stack. */
export interface DeploymentRequest {
    project: Project;
    stack: string;
    /** Absent for what works without valid settings, such as taking the stack down. */
    settings?: Settings;
    output: Output;
    /** Aborts at the first Ctrl-C; the engine then finishes the running step and saves its state. */
    signal: AbortSignal;
}

/** Type of the resources that are the stack's passwords. */
export const passwordType = "random:index/randomPassword:RandomPassword";

/** Number of resources by what happens to them (`create`, `update`, `replace`, `delete`, `keep`, `same`). */
export type Changes = Partial<Record<string, number>>;

/** How an operation came out. */
export interface Outcome {
    /** Absent where the engine does not say. */
    changes?: Changes;
}

/** What a deployment would have to put right. */
export interface Drift {
    clean: boolean;
    /** Absent where the engine does not say. */
    changes?: Changes;
    /** Resources that differ, by URN, with what would happen to each. */
    differences: ResourceDifference[];
}

/** A resource that a deployment would put right. */
export interface ResourceDifference {
    urn: string;
    /** What would happen to it: `create`, `update`, `replace`, `delete`, `keep`. */
    operation: string;
    /** The properties that differ, as far as the engine says, as text; "[secret]" for a secret. */
    properties: { name: string; expected: string; found: string }[];
}

/** A resource of the stack's state. */
export interface StateResource {
    urn: string;
    type: string;
    id?: string;
    inputs?: Record<string, unknown> | null;
    /** Replaced already; waits for its deletion. */
    delete?: boolean | null;
    /** Deleted already; waits for its replacement. */
    pendingReplacement?: boolean | null;
}

/** How a preview is made. */
export interface PreviewOptions {
    /** Ask Docker what is really there first. */
    refresh?: boolean;
    /** Show every property of what is new, too. */
    diff?: boolean;
    /** Names of resources that are to be replaced, whether anything of them has changed or not. */
    replace?: readonly string[];
}

/** What deploys: the Pulumi CLI, or the embedded engine. */
export interface DeploymentEngine {
    name: "pulumi" | "embedded";
    /** One line: which engine runs, and why. */
    description: string;
    preview(request: DeploymentRequest, options: PreviewOptions): Promise<Outcome>;
    /** @param options.replace As in a preview. */
    up(request: DeploymentRequest, options?: Pick<PreviewOptions, "replace">): Promise<Outcome>;
    refresh(request: DeploymentRequest): Promise<Outcome>;
    /** @param options.passwords Whether the passwords go, too, or stay for the next `up`. */
    destroy(request: DeploymentRequest, options: { passwords: boolean }): Promise<Outcome>;
    /**
     * Compares the program with the stack's state.
     *
     * @param options.refresh Compare them with what is really there, too.
     */
    drift(request: DeploymentRequest, options: { refresh: boolean }): Promise<Drift>;
    /** The resources of the stack's state, with their secrets closed; none where there is no state. */
    resources(request: Pick<DeploymentRequest, "project" | "stack">): Promise<StateResource[]>;
    /** The stack's outputs, or undefined where it is not deployed. */
    outputs(
        request: Pick<DeploymentRequest, "project" | "stack">,
        options: { showSecrets: boolean },
    ): Promise<Record<string, unknown> | undefined>;
    /** The stack's configuration with its secrets in clear: texts by key, each with its namespace. */
    config(request: Pick<DeploymentRequest, "project" | "stack">): Promise<Record<string, string>>;
}

/** An engine that can be asked beforehand whether it would start. */
export interface CheckedEngine extends DeploymentEngine {
    /**
     * Looks whether the stack's state is whole and no other run holds it, before anything is asked or made.
     *
     * @throws UserError where not.
     */
    ensureFree(request: Pick<DeploymentRequest, "project" | "stack">): void;
}
