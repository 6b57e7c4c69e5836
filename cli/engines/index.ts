import * as fs from "node:fs";
import * as path from "node:path";
import { lines } from "../docker";
import { UserError } from "../errors";
import { run } from "../process";
import type { Project } from "../project";
import { EmbeddedEngine } from "./embedded";
import { GuardedEngine } from "./guarded";
import { PulumiCli } from "./pulumi";
import type { CheckedEngine, DeploymentEngine } from "./types";

/** What `--engine` takes. */
export const engineChoices = ["auto", "pulumi", "embedded"] as const;
export type EngineChoice = (typeof engineChoices)[number];

/**
 * The engine to deploy with. `auto` is the Pulumi CLI where there is one, on PATH or among the project's tools,
 * and else the embedded engine.
 *
 * @throws UserError when the Pulumi CLI is asked for and not there.
 */
export async function chooseEngine(choice: EngineChoice, project: Project): Promise<CheckedEngine> {
    return new GuardedEngine(await bareEngine(choice, project));
}

async function bareEngine(choice: EngineChoice, project: Project): Promise<DeploymentEngine> {
    if (choice === "embedded") {
        return new EmbeddedEngine("Engine: embedded, as --engine asks.");
    }
    const found = findPulumi(project, process.env.PATH ?? "");
    if (found) {
        const version = lines((await run(found.file, ["version"])).stdout)[0] ?? "of unknown version";
        return new PulumiCli(
            found.file,
            `Engine: pulumi ${version} (${found.file}), as it is ${found.place}.`,
        );
    }
    if (choice === "pulumi") {
        throw new UserError(
            "There is no pulumi on PATH. Install it (https://www.pulumi.com/docs/install/), or leave out --engine pulumi.",
        );
    }
    return new EmbeddedEngine("Engine: embedded, as there is no pulumi on PATH.");
}

/** Finds the Pulumi CLI. */
export function findPulumi(
    project: Project,
    searchPath: string,
): { file: string; place: string } | undefined {
    const onPath = searchPath
        .split(path.delimiter)
        .filter((folder) => folder)
        .map((folder) => path.join(folder, "pulumi"))
        .find(isExecutable);
    if (onPath) {
        return { file: onPath, place: "on PATH" };
    }
    const ownTool = path.join(project.toolsDir, "pulumi", "bin", "pulumi");
    return isExecutable(ownTool) ? { file: ownTool, place: "among the project's tools" } : undefined;
}

function isExecutable(file: string): boolean {
    try {
        fs.accessSync(file, fs.constants.X_OK);
        return fs.statSync(file).isFile();
    } catch {
        return false;
    }
}
