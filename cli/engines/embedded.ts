import {
    createDisplay,
    type Display,
    destroy,
    preview,
    refresh,
    type StackLocation,
    stackConfig,
    stackOutputs,
    type UpdateOptions,
    up,
} from "@carbon/engine";
import { readPassphrase } from "../project";
import {
    type DeploymentEngine,
    type DeploymentRequest,
    type Drift,
    type Outcome,
    type PreviewOptions,
    passwordType,
} from "./types";

type StackRequest = Pick<DeploymentRequest, "project" | "stack">;

/** The engine of this repository: it runs the same program where there is no Pulumi CLI. */
export class EmbeddedEngine implements DeploymentEngine {
    readonly name = "embedded";

    constructor(readonly description: string) {}

    preview(request: DeploymentRequest, { refresh, diff, replace }: PreviewOptions): Promise<Outcome> {
        const display = createDisplay({ stream: request.output.progress, newProperties: diff });
        return preview({ ...updateOptions(request), display, refresh, replace });
    }

    up(request: DeploymentRequest, { replace }: Pick<PreviewOptions, "replace"> = {}): Promise<Outcome> {
        return up({ ...updateOptions(request), refresh: true, replace });
    }

    refresh(request: DeploymentRequest): Promise<Outcome> {
        return refresh(updateOptions(request));
    }

    destroy(request: DeploymentRequest, { passwords }: { passwords: boolean }): Promise<Outcome> {
        return destroy({ ...updateOptions(request), spare: passwords ? [] : [passwordType] });
    }

    async drift(request: DeploymentRequest): Promise<Drift> {
        const differences: NonNullable<Drift["differences"]> = [];
        const options = updateOptions(request);
        const display = collectDifferences(options.display, differences);
        const { changes } = await preview({ ...options, display, refresh: true });
        return { clean: differences.length === 0, changes, differences };
    }

    async outputs(
        request: StackRequest,
        options: { showSecrets: boolean },
    ): Promise<Record<string, unknown> | undefined> {
        const outputs = await stackOutputs(location(request), options);
        return Object.keys(outputs).length > 0 ? outputs : undefined;
    }

    config(request: StackRequest): Promise<Record<string, string>> {
        return stackConfig(location(request));
    }
}

function location({ project, stack }: StackRequest): StackLocation {
    return {
        projectDir: project.dir,
        stack,
        stateDir: project.stateDir,
        passphrase: readPassphrase(project, process.env),
    };
}

function updateOptions(request: DeploymentRequest): UpdateOptions {
    const { output, signal } = request;
    return { ...location(request), display: createDisplay({ stream: output.progress }), signal };
}

/** Notes every resource that a preview would change, and shows it as before. */
function collectDifferences(display: Display, differences: NonNullable<Drift["differences"]>): Display {
    return {
        show(event) {
            if (event.kind === "planned") {
                differences.push({ urn: event.subject.urn, operation: event.operation });
            }
            display.show(event);
        },
    };
}
