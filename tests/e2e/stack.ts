import { rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { execa } from "execa";
import { stringify } from "yaml";

/** What a `carbon` command did. */
export interface Result {
    exitCode: number;
    /** The JSON document on standard output. */
    // biome-ignore lint/suspicious/noExplicitAny: each command has a document of its own; the tests say what is in it
    json: any;
    /** Progress and messages. */
    said: string;
}

/** The parts of `docker inspect` that the tests look at. */
export interface Container {
    Id: string;
    /** Id of its image. */
    Image: string;
    State: { Status: string; StartedAt: string; Health: { Status: string } };
    HostConfig: {
        CapAdd: string[] | null;
        CapDrop: string[];
        SecurityOpt: string[];
        PidsLimit: number;
        LogConfig: object;
    };
}

const ownProject = path.resolve(__dirname, "../..");

/**
 * A stack of the suite, driven through the `carbon` command as a user would. Its name starts with `t-`, and its workspace
 * is a folder of its own.
 */
export class Stack {
    private config: Record<string, unknown>;

    constructor(
        readonly name: string,
        config: Record<string, unknown>,
        /** Folder of the project that it belongs to. */
        private readonly project = ownProject,
    ) {
        this.config = { workspaceDir: this.workspaceDir, ...config };
        this.configure({});
    }

    /** Writes the stack's file, with the given settings changed. */
    configure(changes: Record<string, unknown>): void {
        this.config = { ...this.config, ...changes };
        const config = Object.fromEntries(
            Object.entries(this.config).map(([key, value]) => [`carbon:${key}`, value]),
        );
        writeFileSync(this.file, stringify({ config }));
    }

    /**
     * Runs `carbon` for this stack. `stopWhen` presses Ctrl-C as soon as what was said matches it, `times` times, and
     * `atMatch` is called first.
     */
    async carbon(
        command: string[],
        options: { stopWhen?: RegExp; times?: number; atMatch?: () => void; env?: NodeJS.ProcessEnv } = {},
    ): Promise<Result> {
        const { times = 1, atMatch, env } = options;
        const run = execa("node", ["cli/carbon.js", ...command, "--stack", this.name, "--json", "--yes"], {
            cwd: this.project,
            reject: false,
            stdin: "ignore",
            env,
        });
        let said = "";
        /** Each time once the one before has been noticed, as a process sees two signals at once as one. */
        const press = (left: number) => {
            if (left > 0) {
                const noticed = said.split("Stopping.").length;
                run.kill("SIGINT");
                const wait = setInterval(() => {
                    if (said.split("Stopping.").length > noticed || run.exitCode !== null) {
                        clearInterval(wait);
                        press(left - 1);
                    }
                }, 10);
            }
        };
        run.stderr.on("data", (chunk: Buffer) => {
            said += chunk.toString();
            if (options.stopWhen?.test(said)) {
                options.stopWhen = undefined;
                atMatch?.();
                press(times);
            }
        });
        const { exitCode, stdout } = await run;
        return { exitCode: exitCode ?? -1, said, json: stdout ? JSON.parse(stdout) : undefined };
    }

    /** Deploys, and fails with what was said when that fails. */
    async up(): Promise<Result> {
        const result = await this.carbon(["up"]);
        if (result.exitCode !== 0) {
            throw new Error(`carbon up failed:\n${result.said}`);
        }
        return result;
    }

    /**
     * Takes the stack down with its data and its workspace, and forgets its settings. Its images stay for the next stack of
     * the same settings, until all tests have run: see tests/setup/engine.ts.
     */
    async remove(): Promise<void> {
        await this.carbon(["down", "--volumes"]);
        rmSync(this.workspaceDir, { recursive: true, force: true });
        rmSync(this.file, { force: true });
        rmSync(this.checkpoint, { force: true });
        rmSync(`${this.checkpoint}.bak`, { force: true });
    }

    async inspect(service: string): Promise<Container> {
        const { stdout } = await execa("docker", ["inspect", this.container(service)]);
        return JSON.parse(stdout)[0];
    }

    container(service: string): string {
        return `carbon-${this.name}-${service}`;
    }

    /** Runs a command line in the workspace as the user, in a login shell as a terminal would. */
    async shell(
        line: string,
        env: Record<string, string> = {},
    ): Promise<{ exitCode: number; output: string }> {
        const variables = Object.entries(env).flatMap(([name, value]) => ["--env", `${name}=${value}`]);
        const { exitCode, all } = await execa(
            "docker",
            ["exec", "--user", "carbon", ...variables, this.container("workspace"), "bash", "-lc", line],
            { reject: false, all: true },
        );
        return { exitCode: exitCode ?? -1, output: all };
    }

    /** Names of the stack's containers, those that are stopped too. */
    async containers(): Promise<string[]> {
        const { stdout } = await execa("docker", [
            "ps",
            "--all",
            "--filter",
            `label=carbon.stack=${this.name}`,
            "--format",
            "{{.Names}}",
        ]);
        return stdout.split("\n").filter(Boolean).sort();
    }

    async volumes(): Promise<string[]> {
        const { stdout } = await execa("docker", [
            "volume",
            "ls",
            "--filter",
            `name=^carbon-${this.name}-`,
            "--format",
            "{{.Name}}",
        ]);
        return stdout.split("\n").filter(Boolean).sort();
    }

    get checkpoint(): string {
        return path.join(this.project, ".carbon/state/.pulumi/stacks/carbon", `${this.name}.json`);
    }

    private get workspaceDir(): string {
        return path.join(tmpdir(), `carbon-${this.name}`);
    }

    private get file(): string {
        return path.join(this.project, `Pulumi.${this.name}.yaml`);
    }
}
