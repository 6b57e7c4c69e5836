import {
    createDisplay,
    type Display,
    destroy,
    formatPath,
    preview,
    refresh,
    type StackLocation,
    stackConfig,
    stackOutputs,
    stackResources,
    type UpdateOptions,
    up,
} from "@carbon/engine";
import { readPassphrase } from "../project";
import { asText } from "./asText";
import {
    type DeploymentEngine,
    type DeploymentRequest,
    type Drift,
    type Outcome,
    type PreviewOptions,
    passwordType,
    type ResourceDifference,
    type StateResource,
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

    async drift(request: DeploymentRequest, { refresh }: { refresh: boolean }): Promise<Drift> {
        const differences: ResourceDifference[] = [];
        const display = collectDifferences(differences, updateOptions(request).display);
        const { changes } = await preview({ ...updateOptions(request), display, refresh });
        return { clean: differences.length === 0, changes, differences };
    }

    async resources({ project, stack }: StackRequest): Promise<StateResource[]> {
        const { dir: projectDir, stateDir } = project;
        return [...stackResources({ projectDir, stateDir, stack })];
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

/** Notes every resource that a preview would change. Of the rest, messages alone are shown. */
function collectDifferences(differences: ResourceDifference[], display: Display): Display {
    return {
        show(event) {
            if (event.kind === "planned") {
                const { subject, operation, changes } = event;
                // Secrets and what is not known yet are JSON as their names in brackets.
                const properties = changes.map(({ path, old, new: now }) => ({
                    name: formatPath(path),
                    expected: asText(now),
                    found: asText(old),
                }));
                differences.push({ urn: subject.urn, operation, properties });
            } else if (event.kind === "message" || event.kind === "failed") {
                display.show(event);
            }
        },
    };
}
