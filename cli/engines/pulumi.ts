import * as fs from "node:fs";
import { pathToFileURL } from "node:url";
import { attestationEnvironment } from "@carbon/engine";
import { z } from "zod";
import { parseDocument } from "../documents";
import { UserError } from "../errors";
import { run, runInteractively } from "../process";
import { type Project, passphraseEnv } from "../project";
import type { Changes, DeploymentEngine, DeploymentRequest, Drift, Outcome, PreviewOptions } from "./types";

/** Exit code of `pulumi preview --expect-no-changes` when there are changes. */
const unexpectedChanges = 7;

const changes = z.record(z.string(), z.number());
/** What is used of the document that `pulumi preview --json` prints. */
const plan = z.object({
    steps: z.array(z.object({ op: z.string(), urn: z.string() })).nullish(),
    changeSummary: changes.nullish(),
});
const history = z.array(z.object({ resourceChanges: changes.nullish() })).nullish();
const outputs = z.record(z.string(), z.unknown());

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
        const refresh = options.refresh ? ["--refresh"] : [];
        if (request.output.json) {
            return { changes: (await this.plan(request, refresh)).changeSummary ?? {} };
        }
        await this.mustSucceed(request, "preview", [...refresh, ...(options.diff ? ["--diff"] : [])]);
        return {};
    }

    async up(request: DeploymentRequest): Promise<Outcome> {
        await this.select(request);
        await this.mustSucceed(request, "up", ["--refresh", "--yes", "--skip-preview"]);
        return { changes: await this.lastChanges(request) };
    }

    async refresh(request: DeploymentRequest): Promise<Outcome> {
        await this.select(request);
        await this.mustSucceed(request, "refresh", ["--yes", "--skip-preview"]);
        return { changes: await this.lastChanges(request) };
    }

    async destroy(request: DeploymentRequest): Promise<Outcome> {
        if (!(await this.exists(request))) {
            return {};
        }
        // With --refresh, what is gone already needs no deleting.
        await this.mustSucceed(request, "destroy", ["--refresh", "--yes", "--skip-preview"]);
        return { changes: await this.lastChanges(request) };
    }

    async drift(request: DeploymentRequest): Promise<Drift> {
        await this.select(request);
        if (request.output.json) {
            const { steps, changeSummary } = await this.plan(request, ["--refresh"]);
            const differences = (steps ?? [])
                .filter(({ op }) => op !== "same" && op !== "refresh")
                .map(({ op, urn }) => ({ urn, operation: op }));
            return { clean: differences.length === 0, changes: changeSummary ?? {}, differences };
        }
        const args = ["--refresh", "--diff", "--expect-no-changes"];
        const exitCode = await this.interact(request, "preview", args);
        if (exitCode !== 0 && exitCode !== unexpectedChanges) {
            throw new UserError("pulumi preview failed; what went wrong is above.");
        }
        return { clean: exitCode === 0 };
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

    private async select({ project, stack }: DeploymentRequest): Promise<void> {
        await this.capture({ project, stack }, ["stack", "select", "--create"]);
    }

    private async exists({ project, stack }: Pick<DeploymentRequest, "project" | "stack">): Promise<boolean> {
        return (await this.run({ project, stack }, ["stack", "select"])).exitCode === 0;
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

    /** A preview as a document. */
    private plan(request: DeploymentRequest, args: string[]) {
        return this.document(request, plan, ["preview", "--json", ...args]);
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
