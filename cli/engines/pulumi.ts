import * as fs from "node:fs";
import { pathToFileURL } from "node:url";
import { attestationEnvironment } from "@carbon/engine";
import { z } from "zod";
import { parseDocument } from "../documents";
import { UserError } from "../errors";
import { run, runInteractively } from "../process";
import { type Project, passphraseEnv } from "../project";
import { asText } from "./asText";
import {
    type Changes,
    type DeploymentEngine,
    type DeploymentRequest,
    type Drift,
    type Outcome,
    type PreviewOptions,
    passwordType,
    type ResourceDifference,
    type StateResource,
} from "./types";

const changes = z.record(z.string(), z.number());
/** What is used of the document that `pulumi preview --json` prints. */
const plan = z.object({
    steps: z
        .array(
            z.object({
                op: z.string(),
                urn: z.string(),
                oldState: z.looseObject({ retainOnDelete: z.boolean().nullish() }).nullish(),
                newState: z.looseObject({}).nullish(),
                /** By property path. */
                detailedDiff: z.record(z.string(), z.unknown()).nullish(),
            }),
        )
        .nullish(),
    changeSummary: changes.nullish(),
});
/** What is used of `pulumi stack export`. */
const exported = z.object({
    deployment: z
        .object({
            resources: z
                .array(
                    z.object({
                        urn: z.string(),
                        type: z.string().default(""),
                        id: z.string().optional(),
                        inputs: z.record(z.string(), z.unknown()).nullish(),
                        delete: z.boolean().nullish(),
                        pendingReplacement: z.boolean().nullish(),
                        retainOnDelete: z.boolean().nullish(),
                    }),
                )
                .nullish(),
        })
        .nullish(),
});
const history = z.array(z.object({ resourceChanges: changes.nullish() })).nullish();
const outputs = z.record(z.string(), z.unknown());
/** What is used of `pulumi config`. */
const configuration = z.record(z.string(), z.object({ value: z.string().optional() }));

/** Where Pulumi keeps its state, unless the user chose a backend. */
export function pulumiEnv(project: Project, env: NodeJS.ProcessEnv, push: boolean): Record<string, string> {
    return {
        PULUMI_BACKEND_URL: env.PULUMI_BACKEND_URL || pathToFileURL(project.stateDir).href,
        ...passphraseEnv(project, env),
        PULUMI_SKIP_UPDATE_CHECK: "true",
        ...attestationEnvironment(push),
    };
}

/** The Pulumi CLI: `pulumi` itself, with this project's state and passphrase. */
export class PulumiCli implements DeploymentEngine {
    readonly name = "pulumi";

    constructor(
        private readonly executable: string,
        readonly description: string,
    ) {}

    async preview(request: DeploymentRequest, options: PreviewOptions): Promise<Outcome> {
        await this.select(request);
        const args = [...(options.refresh ? ["--refresh"] : []), ...replacing(options)];
        if (request.output.json) {
            return { changes: (await this.plan(request, args)).changes };
        }
        await this.mustSucceed(request, "preview", [...args, ...(options.diff ? ["--diff"] : [])]);
        return {};
    }

    async up(request: DeploymentRequest, options: Pick<PreviewOptions, "replace"> = {}): Promise<Outcome> {
        await this.select(request);
        const args = ["--refresh", "--yes", "--skip-preview", ...replacing(options)];
        return this.countingKept(request, () => this.mustSucceed(request, "up", args));
    }

    async refresh(request: DeploymentRequest): Promise<Outcome> {
        await this.select(request);
        await this.mustSucceed(request, "refresh", ["--yes", "--skip-preview"]);
        return { changes: await this.lastChanges(request) };
    }

    async destroy(request: DeploymentRequest, { passwords }: { passwords: boolean }): Promise<Outcome> {
        if (!(await this.exists(request))) {
            return {};
        }
        // With --refresh, what is gone already needs no deleting.
        // What a resource needs that is excluded stays as well: its component, the stack with its outputs, its provider.
        const spared = passwords ? [] : ["--exclude", `**${passwordType}::**`];
        const args = ["--refresh", "--yes", "--skip-preview", ...spared];
        return this.countingKept(request, () => this.mustSucceed(request, "destroy", args));
    }

    async drift(request: DeploymentRequest, { refresh }: { refresh: boolean }): Promise<Drift> {
        await this.select(request);
        const { steps, changes } = await this.plan(request, refresh ? ["--refresh"] : []);
        const differences = steps
            .filter(({ op }) => op !== "same" && op !== "refresh")
            .map((step) => ({ urn: step.urn, operation: step.op, properties: propertiesOf(step) }));
        return { clean: differences.length === 0, changes, differences };
    }

    async resources(request: Pick<DeploymentRequest, "project" | "stack">): Promise<StateResource[]> {
        const selected = await this.run(request, ["stack", "select"]);
        // Nothing else may pass for a stack that was never deployed: what it has would then be nobody's.
        if (selected.exitCode !== 0 && /no stack\b/i.test(selected.stderr)) {
            return [];
        }
        if (selected.exitCode !== 0) {
            throw new UserError(`pulumi stack select failed: ${selected.reason}`);
        }
        const { deployment } = await this.document(request, exported, ["stack", "export"]);
        return deployment?.resources ?? [];
    }

    async outputs(
        request: Pick<DeploymentRequest, "project" | "stack">,
        { showSecrets }: { showSecrets: boolean },
    ): Promise<Record<string, unknown> | undefined> {
        if (!(await this.exists(request))) {
            return undefined;
        }
        const flags = ["--json", ...(showSecrets ? ["--show-secrets"] : [])];
        const found = await this.document(request, outputs, ["stack", "output", ...flags]);
        return Object.keys(found).length > 0 ? found : undefined;
    }

    async config(request: Pick<DeploymentRequest, "project" | "stack">): Promise<Record<string, string>> {
        await this.select(request);
        const found = await this.document(request, configuration, ["config", "--json", "--show-secrets"]);
        return Object.fromEntries(Object.entries(found).map(([key, { value }]) => [key, value ?? ""]));
    }

    private async select({ project, stack }: Pick<DeploymentRequest, "project" | "stack">): Promise<void> {
        await this.capture({ project, stack }, ["stack", "select", "--create"]);
    }

    private async exists({ project, stack }: Pick<DeploymentRequest, "project" | "stack">): Promise<boolean> {
        return (await this.run({ project, stack }, ["stack", "select"])).exitCode === 0;
    }

    /**
     * Runs an operation and says what it did. Pulumi counts what it only forgets (`retainOnDelete`) as deleted; here
     * that is kept.
     */
    private async countingKept(request: DeploymentRequest, operation: () => Promise<void>): Promise<Outcome> {
        const before = await this.retained(request);
        await operation();
        const after = before.length > 0 ? await this.retained(request) : [];
        const kept = before.filter((urn) => !after.includes(urn)).length;
        const counted = await this.lastChanges(request);
        return { changes: counted && keeping(counted, kept) };
    }

    /** URNs of the resources that stay when they are deleted. */
    private async retained(request: DeploymentRequest): Promise<string[]> {
        const { deployment } = await this.document(request, exported, ["stack", "export"]);
        return (deployment?.resources ?? []).flatMap(({ urn, retainOnDelete }) =>
            retainOnDelete ? [urn] : [],
        );
    }

    /** What the operation that just ended did, as the stack's history has it. */
    private async lastChanges(request: DeploymentRequest): Promise<Changes | undefined> {
        const page = ["stack", "history", "--json", "--page-size", "1"];
        return (await this.document(request, history, page))?.[0]?.resourceChanges ?? undefined;
    }

    private async mustSucceed(request: DeploymentRequest, operation: string, args: string[]): Promise<void> {
        const exitCode = await this.interact(request, operation, args);
        if (exitCode !== 0) {
            throw new UserError(`pulumi ${operation} failed; what went wrong is above.`);
        }
    }

    /** A preview as a document, in which what is only forgotten is kept. */
    private async plan(request: DeploymentRequest, args: string[]) {
        const { steps, changeSummary } = await this.document(request, plan, ["preview", "--json", ...args]);
        const isKept = ({ op, oldState }: NonNullable<typeof steps>[number]) =>
            op === "delete" && Boolean(oldState?.retainOnDelete);
        const told = (steps ?? []).map((step) => (isKept(step) ? { ...step, op: "keep" } : step));
        return {
            steps: told,
            changes: keeping(changeSummary ?? {}, told.filter(({ op }) => op === "keep").length),
        };
    }

    /** What `pulumi` with these arguments prints. */
    private async document<Schema extends z.ZodType>(
        request: Pick<DeploymentRequest, "project" | "stack">,
        schema: Schema,
        args: string[],
    ): Promise<z.output<Schema>> {
        const source = `What \`pulumi ${args.slice(0, 2).join(" ")}\` printed`;
        const text = await this.capture(request, args);
        return parseDocument(source, schema, text, "Try again with --engine embedded.");
    }

    private interact(request: DeploymentRequest, operation: string, args: string[]): Promise<number> {
        const { project, stack, settings, output, signal } = request;
        return runInteractively(this.executable, [operation, "--stack", stack, ...args], {
            cwd: project.dir,
            env: pulumiEnv(project, process.env, settings?.push ?? false),
            stdout: output.progressFd,
            signal,
        });
    }

    private async capture(
        request: Pick<DeploymentRequest, "project" | "stack">,
        args: string[],
    ): Promise<string> {
        const result = await this.run(request, args);
        if (result.exitCode !== 0) {
            throw new UserError(`pulumi ${args.slice(0, 2).join(" ")} failed: ${result.reason}`);
        }
        return result.stdout;
    }

    private run({ project, stack }: Pick<DeploymentRequest, "project" | "stack">, args: string[]) {
        fs.mkdirSync(project.stateDir, { recursive: true, mode: 0o700 });
        return run(this.executable, [...args, "--stack", stack, "--non-interactive"], {
            cwd: project.dir,
            env: pulumiEnv(project, process.env, false),
        });
    }
}

/** The properties of a preview's step, by the first name of their paths: of lists and objects the whole is shown. */
function propertiesOf({
    detailedDiff,
    oldState,
    newState,
}: NonNullable<z.infer<typeof plan>["steps"]>[number]): ResourceDifference["properties"] {
    const names = Object.keys(detailedDiff ?? {}).map((path) => path.replace(/[.[].*/, ""));
    const value = (state: typeof oldState, name: string, places: string[]) =>
        places
            .map((place) => (state?.[place] as Record<string, unknown> | undefined)?.[name])
            .find((found) => found !== undefined);
    return [...new Set(names)].map((name) => ({
        name,
        expected: unlessSecret(asText(value(newState, name, ["inputs"]))),
        found: unlessSecret(asText(value(oldState, name, ["outputs", "inputs"]))),
    }));
}

/** Pulumi writes a secret as an object that begins with this key. */
function unlessSecret(text: string): string {
    return text.includes("4dabf18193072939515e22adb298388d") ? "[secret]" : text;
}

/** Resources by their names, which are the ends of their URNs. */
function replacing({ replace = [] }: Pick<PreviewOptions, "replace">): string[] {
    return replace.flatMap((name) => ["--replace", `**::${name}`]);
}

/** The counts, with `kept` of the deleted under a name of their own. */
function keeping(changes: Changes, kept: number): Changes {
    const real = Math.max((changes.delete ?? 0) - kept, 0);
    const { delete: _, ...rest } = changes;
    return kept > 0 ? { ...rest, ...(real > 0 && { delete: real }), keep: kept } : changes;
}
