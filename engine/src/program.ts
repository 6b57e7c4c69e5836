import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { EngineError } from "./errors";
import { runProcess } from "./process";
import type { Project, StackConfig } from "./project";

/** How to start the program. */
export interface ProgramOptions {
    project: Project;
    stack: string;
    config: StackConfig;
    /** Address of the monitor. */
    monitor: string;
    parallel: number;
    preview: boolean;
    env: NodeJS.ProcessEnv;
    signal: AbortSignal;
    /** A line that the program printed. */
    output(line: string): void;
}

export interface ProgramResult {
    succeeded: boolean;
    exitCode: number | undefined;
}

/** Runs the program under the SDK's own runner, as the Node.js language host of the real CLI does. */
export async function runProgram(options: ProgramOptions): Promise<ProgramResult> {
    const { project, stack, config, monitor, parallel, preview, env, signal } = options;
    const { succeeded, exitCode } = await runProcess(
        process.execPath,
        [
            findRunner(project.dir),
            `--monitor=${monitor}`,
            `--engine=${monitor}`,
            "--organization=organization",
            `--project=${project.name}`,
            `--stack=${stack}`,
            `--root-directory=${project.dir}`,
            `--pwd=${resolve(project.dir, project.main)}`,
            `--parallel=${parallel}`,
            ...(preview ? ["--dry-run"] : []),
            ".",
        ],
        {
            cwd: project.dir,
            env: {
                ...env,
                PULUMI_NODEJS_TYPESCRIPT: "true",
                // Type checking would take seconds at every start; it is the business of the project's tests.
                PULUMI_NODEJS_TRANSPILE_ONLY: "true",
                PULUMI_CONFIG: JSON.stringify(config.values),
                PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(config.secretKeys),
            },
            signal,
            onLine: options.output,
        },
    );
    return { succeeded, exitCode };
}

function findRunner(projectDir: string): string {
    try {
        return createRequire(join(projectDir, "index.js")).resolve("@pulumi/pulumi/cmd/run");
    } catch {
        throw new EngineError(`@pulumi/pulumi is not installed in ${projectDir}: run "npm install" there.`);
    }
}
