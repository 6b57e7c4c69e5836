import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Docker from "dockerode";
import * as engine from "../../src";

export const docker = new Docker();
const passphrase = "test";
const stack = "test";

type Run = typeof engine.up;

/** A copy of a program in engine/tests/docker/programs with a state of its own; its Docker objects start with `prefix`. */
export class TestStack {
    readonly dir = mkdtempSync(join(tmpdir(), "engine-test-"));
    readonly stateDir = join(this.dir, ".state");
    readonly prefix = `t-eng-${process.pid}`;
    /** Everything that the display was shown in the last run. */
    events: engine.EngineEvent[] = [];
    private config: Record<string, string | number | boolean> = { prefix: this.prefix };

    constructor(program: string) {
        cpSync(join(__dirname, "programs", program), this.dir, { recursive: true });
        symlinkSync(join(__dirname, "..", "..", "..", "node_modules"), join(this.dir, "node_modules"));
        this.set({});
    }

    /** Changes the stack's configuration; what is not named stays. */
    set(config: Record<string, string | number | boolean>): void {
        this.config = { ...this.config, ...config };
        const lines = Object.entries(this.config).map(
            ([key, value]) => `  engine-test:${key}: ${JSON.stringify(value)}`,
        );
        writeFileSync(join(this.dir, `Pulumi.${stack}.yaml`), ["config:", ...lines, ""].join("\n"));
    }

    up = (options: Partial<engine.UpdateOptions> = {}) => this.run(engine.up, options);
    preview = (options: Partial<engine.UpdateOptions> = {}) => this.run(engine.preview, options);
    refresh = () => this.run(engine.refresh, {});
    destroy = (options: Partial<engine.DestroyOptions> = {}) => this.run(engine.destroy, options);

    private run(operation: Run, options: Partial<engine.DestroyOptions>): ReturnType<Run> {
        this.events = [];
        const display = {
            show: (event: engine.EngineEvent) => void this.events.push(event),
        };
        return operation({ ...this.location, display, ...options });
    }

    get location(): engine.StackLocation {
        return { projectDir: this.dir, stateDir: this.stateDir, stack, passphrase };
    }

    /** `operation name` of each step that was carried out or planned, sorted. */
    steps(): string[] {
        return this.events
            .flatMap((event) =>
                event.kind === "planned" || event.kind === "finished"
                    ? [`${event.operation} ${event.subject.name}`]
                    : [],
            )
            .sort();
    }

    /** All that the user would have read. */
    text(): string {
        return JSON.stringify(this.events);
    }

    get statePath(): string {
        return join(this.stateDir, ".pulumi", "stacks", "engine-test", `${stack}.json`);
    }

    /** The checkpoint as it lies on disk. */
    checkpoint() {
        return JSON.parse(readFileSync(this.statePath, "utf8")).checkpoint.latest;
    }

    container(name: string): Docker.Container {
        return docker.getContainer(`${this.prefix}-${name}`);
    }

    /** Removes every Docker object of this stack, and the copy. */
    async remove(): Promise<void> {
        const named = { all: true, filters: { name: [this.prefix] } };
        for (const { Id } of await docker.listContainers(named)) {
            await docker.getContainer(Id).remove({ force: true, v: true });
        }
        for (const { Id } of await docker.listNetworks(named)) {
            await docker.getNetwork(Id).remove();
        }
        for (const { Name } of (await docker.listVolumes(named)).Volumes) {
            await docker.getVolume(Name).remove({ force: true });
        }
        for (const { RepoTags } of await docker.listImages()) {
            for (const tag of (RepoTags ?? []).filter((name) => name.includes(this.prefix))) {
                await docker.getImage(tag).remove({ force: true });
            }
        }
        rmSync(this.dir, { recursive: true, force: true });
    }
}

/** A deployment's error must be one for users. */
export async function failure(run: Promise<unknown>): Promise<engine.EngineError> {
    const error = await run.then(
        () => new Error("it succeeded"),
        (thrown: unknown) => thrown,
    );
    if (!(error instanceof engine.EngineError)) {
        throw error;
    }
    return error;
}
