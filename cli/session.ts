import { existsSync } from "node:fs";
import { join } from "node:path";
import type { z } from "zod";
import type { Settings } from "../settings/parse";
import { stackContainers, stackVolumes } from "./docker";
import { checkDocument } from "./documents";
import { chooseEngine } from "./engines";
import type { CheckedEngine, DeploymentRequest } from "./engines/types";
import { UserError } from "./errors";
import type { CommonOptions } from "./options";
import { Output } from "./output";
import { findProject, hasOwnBackend, type Project, statesFolder } from "./project";
import { goWhereItLives } from "./server/reach";
import { stackFlag } from "./stackFlag";
import { readSettings } from "./stackSettings";

export { stackFlag };

/** One run of the command: what was asked for, and where. */
export class Session {
    readonly output: Output;
    readonly project: Project;
    private chosen?: Promise<CheckedEngine>;

    constructor(
        readonly options: CommonOptions,
        /** Aborts at the first Ctrl-C. */
        readonly signal: AbortSignal,
    ) {
        this.output = new Output(options.json);
        this.project = findProject(process.env);
        goWhereItLives(this.project, options.stack);
    }

    get stack(): string {
        return this.options.stack;
    }

    /** True when there is somebody to ask. */
    get interactive(): boolean {
        return Boolean(process.stdin.isTTY && process.stderr.isTTY) && !this.options.json;
    }

    /** Columns to fit tables to; undefined where the output is no terminal. */
    get width(): number | undefined {
        return process.stdout.isTTY ? process.stdout.columns : undefined;
    }

    /**
     * The stack's settings.
     *
     * @param overrides Values, as text, that take the place of the stack's own.
     * @throws SettingsError naming every problem at once.
     */
    settings(overrides?: Record<string, string>): Settings {
        return readSettings(this.project, this.stack, overrides);
    }

    /** Chooses the engine without a word, for commands that only look something up. */
    engine(): Promise<CheckedEngine> {
        this.chosen ??= chooseEngine(this.options.engine, this.project);
        return this.chosen;
    }

    /** Chooses the engine and says which one it is and why. */
    async announcedEngine(): Promise<CheckedEngine> {
        const engine = await this.engine();
        this.output.note(engine.description);
        return engine;
    }

    request(settings?: Settings): DeploymentRequest {
        const { project, stack, output, signal } = this;
        return { project, stack, settings, output, signal };
    }

    /**
     * The outputs of the deployed stack.
     *
     * @throws UserError when it is not deployed.
     */
    async outputs(options: { showSecrets: boolean }): Promise<Record<string, unknown>> {
        const outputs = await (await this.engine()).outputs(this.request(), options);
        if (!outputs) {
            const running = await stackContainers(this.stack).catch(() => []);
            throw new UserError(running.length > 0 ? this.notKnown() : this.notDeployed());
        }
        return outputs;
    }

    /**
     * The same, held to the shape that the program gives them.
     *
     * @throws UserError when they have another one, or the stack is not deployed.
     */
    async outputsAs<Schema extends z.ZodType>(
        schema: Schema,
        options: { showSecrets: boolean },
    ): Promise<z.output<Schema>> {
        const source = `What the stack ${this.stack} puts out`;
        const advice = `Deploy it anew: ./carbon up${this.stackFlag()}`;
        return checkDocument(source, schema, await this.outputs(options), advice);
    }

    notDeployed(): string {
        return `The stack ${this.stack} is not deployed. Type: ./carbon up${this.stackFlag()}`;
    }

    /** The same where Docker has it. */
    private notKnown(): string {
        return `This clone has no state of the stack ${this.stack}, which Docker has, and so none of its passwords. \`./carbon up${this.stackFlag()}\` takes it over, with its data and new passwords.`;
    }

    /** The same where no container is there: whether it was taken down, which keeps data and passwords, or never was up. */
    async whyNothingRuns(): Promise<string> {
        const volumes = await stackVolumes(this.stack).catch(() => []);
        // Another backend's state is not looked for.
        const isLost =
            hasOwnBackend(this.project, process.env) &&
            !existsSync(join(statesFolder(this.project), `${this.stack}.json`));
        const kept = isLost ? "is down; its data are kept" : "is down; its data and its passwords are kept";
        return volumes.length > 0
            ? `The stack ${this.stack} ${kept}. Type: ./carbon up${this.stackFlag()}`
            : this.notDeployed();
    }

    /**
     * Says on standard error when nothing of what is shown is running. Not where Docker does not answer: then nobody
     * knows.
     */
    async warnUnlessRunning(): Promise<void> {
        const containers = await stackContainers(this.stack).catch(() => undefined);
        if (containers?.length === 0) {
            this.output.warn(await this.whyNothingRuns());
        } else if (containers?.every(({ State }) => State.Status === "exited")) {
            this.output.warn(`The stack ${this.stack} is stopped. Type: ./carbon start${this.stackFlag()}`);
        }
    }

    /** ` --stack name`, to end a command with that a user is told to type. */
    stackFlag(): string {
        return stackFlag(this.stack);
    }
}
