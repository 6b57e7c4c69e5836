import { workspace } from "../services";
import { containerName } from "../settings/names";
import { run } from "./process";
import type { Verification } from "./tables";

/** Runs the check in the workspace of a stack; undefined where it did not run. */
export async function runVerification(stack: string): Promise<Verification | undefined> {
    const args = ["exec", containerName(stack, workspace.name), "carbon-verify", "--json"];
    const { stdout } = await run("docker", args);
    try {
        return JSON.parse(stdout);
    } catch {
        return undefined;
    }
}
