import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { EngineError } from "./engine-error";
import type { OpenStack } from "./open-stack";
import type { StackConfig } from "./pulumi-files";
import { type ProcessResult, runProcess } from "./run-process";

/** Registrations that the SDK has in flight at a time. */
const PARALLEL = 16;

/** What the program is given, and where what it prints goes. */
export interface ProgramOptions {
    config: StackConfig;
    /** Address of the monitor. */
    monitor: string;
    /** A line that the program printed. */
    output(line: string): void;
}

/**
 * Runs the program under the SDK's own runner, as the Node.js language host of the real CLI does, but compiles its TypeScript
 * with tsx: esbuild and a cache, where ts-node loads the compiler and compiles every module at every start.
 */
export function runProgram(
    { project, name, preview, signal }: OpenStack,
    { config, monitor, output }: ProgramOptions,
): Promise<ProcessResult> {
    const args = [
        `--require=${findModule("tsx/cjs", project.dir)}`,
        findModule("@pulumi/pulumi/cmd/run", project.dir),
        `--monitor=${monitor}`,
        `--engine=${monitor}`,
        "--organization=organization",
        `--project=${project.name}`,
        `--stack=${name}`,
        `--root-directory=${project.dir}`,
        `--pwd=${resolve(project.dir, project.main)}`,
        `--parallel=${PARALLEL}`,
        ...(preview ? ["--dry-run"] : []),
        ".",
    ];
    return runProcess(process.execPath, args, {
        cwd: project.dir,
        env: {
            PULUMI_NODEJS_TYPESCRIPT: "false",
            PULUMI_CONFIG: JSON.stringify(config.values),
            PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(config.secretKeys),
        },
        cancelSignal: signal,
        onLine: output,
    });
}

function findModule(name: string, projectDir: string): string {
    try {
        return createRequire(join(projectDir, "index.js")).resolve(name);
    } catch {
        throw new EngineError(`${name} is not installed in ${projectDir}: run "npm install" there.`);
    }
}
