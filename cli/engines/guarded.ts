import { ensureDockerStayed } from "../dockerAway";
import { hasOwnBackend } from "../project";
import { ensureUnlocked, ensureWholeState, newestStates, passphraseFault, type StackOf } from "../stackState";
import type {
    CheckedEngine,
    DeploymentEngine,
    DeploymentRequest,
    Drift,
    Outcome,
    PreviewOptions,
    StateResource,
} from "./types";

/**
 * An engine behind what `carbon` looks at itself, once for both: whether the stack's state is whole and free, and what a
 * failure is really about. A backend of the user's own is for the Pulumi CLI to judge.
 */
export class GuardedEngine implements CheckedEngine {
    readonly name: DeploymentEngine["name"];
    readonly description: string;

    constructor(private readonly engine: DeploymentEngine) {
        this.name = engine.name;
        this.description = engine.description;
    }

    preview(request: DeploymentRequest, options: PreviewOptions): Promise<Outcome> {
        return this.reading(request, () => this.engine.preview(request, options));
    }

    up(request: DeploymentRequest, options?: Pick<PreviewOptions, "replace">): Promise<Outcome> {
        return this.writing("up", request, () => this.engine.up(request, options));
    }

    refresh(request: DeploymentRequest): Promise<Outcome> {
        return this.writing("refresh", request, () => this.engine.refresh(request));
    }

    destroy(request: DeploymentRequest, options: { passwords: boolean }): Promise<Outcome> {
        return this.writing("down", request, () => this.engine.destroy(request, options));
    }

    drift(request: DeploymentRequest, options: { refresh: boolean }): Promise<Drift> {
        return this.reading(request, () => this.engine.drift(request, options));
    }

    resources(request: StackOf): Promise<StateResource[]> {
        return this.reading(request, () => this.engine.resources(request));
    }

    outputs(
        request: StackOf,
        options: { showSecrets: boolean },
    ): Promise<Record<string, unknown> | undefined> {
        return this.reading(request, () => this.engine.outputs(request, options));
    }

    config(request: StackOf): Promise<Record<string, string>> {
        return this.reading(request, () => this.engine.config(request));
    }

    ensureFree(stack: StackOf): void {
        if (this.hasOwnState(stack)) {
            ensureWholeState(stack, newestStates[this.name]);
            ensureUnlocked(stack);
        }
    }

    private async reading<T>(stack: StackOf, work: () => Promise<T>): Promise<T> {
        if (!this.hasOwnState(stack)) {
            return work();
        }
        ensureWholeState(stack, newestStates[this.name]);
        try {
            return await work();
        } catch (error) {
            throw (await passphraseFault(stack).catch(() => undefined)) ?? error;
        }
    }

    private async writing<T>(
        command: string,
        request: DeploymentRequest,
        work: () => Promise<T>,
    ): Promise<T> {
        this.ensureFree(request);
        try {
            return await this.reading(request, work);
        } catch (error) {
            if (!request.signal.aborted) {
                // Another run may have been a moment faster.
                this.ensureFree(request);
                await ensureDockerStayed(error, command, request.stack);
            }
            throw error;
        }
    }

    private hasOwnState({ project }: StackOf): boolean {
        return this.name === "embedded" || hasOwnBackend(project, process.env);
    }
}
