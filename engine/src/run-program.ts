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

/** Runs the program under the SDK's own runner, as the Node.js language host of the real CLI does. */
export function runProgram(
    { project, name, preview, signal }: OpenStack,
    { config, monitor, output }: ProgramOptions,
): Promise<ProcessResult> {
    const args = [
        findRunner(project.dir),
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
            PULUMI_NODEJS_TYPESCRIPT: "true",
            // Type checking would take seconds at every start; it is the business of the project's tests.
            PULUMI_NODEJS_TRANSPILE_ONLY: "true",
            PULUMI_CONFIG: JSON.stringify(config.values),
            PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(config.secretKeys),
        },
        cancelSignal: signal,
        onLine: output,
    });
}

function findRunner(projectDir: string): string {
    try {
        return createRequire(join(projectDir, "index.js")).resolve("@pulumi/pulumi/cmd/run");
    } catch {
        throw new EngineError(`@pulumi/pulumi is not installed in ${projectDir}: run "npm install" there.`);
    }
}
