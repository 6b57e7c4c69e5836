import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A program, the checkpoint that the real Pulumi CLI wrote for it, and the container that it made. */
export const samplePath = join(__dirname, "sample");
export const samplePassphrase = "carbon";

/** A copy of the sample as a project with its state, modes as they were when the checkpoint was written. */
export function copySample(): { projectDir: string; stateDir: string; remove(): void } {
    const projectDir = mkdtempSync(join(tmpdir(), "engine-sample-"));
    const stateDir = join(projectDir, "state");
    cpSync(samplePath, projectDir, { recursive: true });
    chmodSync(join(projectDir, "ctx", "Dockerfile"), 0o644);
    const stacks = join(stateDir, ".pulumi", "stacks", "carbon-reference");
    mkdirSync(stacks, { recursive: true });
    cpSync(join(samplePath, "checkpoint.json"), join(stacks, "dev.json"));
    symlinkSync(join(__dirname, "..", "..", "..", "node_modules"), join(projectDir, "node_modules"));
    return { projectDir, stateDir, remove: () => rmSync(projectDir, { recursive: true, force: true }) };
}

/** The sample checkpoint's resources as JSON. */
export function sampleResources(): Record<string, unknown>[] {
    const file = JSON.parse(readFileSync(join(samplePath, "checkpoint.json"), "utf8"));
    return file.checkpoint.latest.resources;
}
