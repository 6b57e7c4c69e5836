import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach } from "vitest";

/** Root of this project. */
export const repository = join(__dirname, "../../..");

/** A copy of the scripts in a project of its own, and a folder of pretended commands that come first on PATH. */
export let project: string;
export let fakes: string;

beforeEach(() => {
    project = mkdtempSync(join(tmpdir(), "carbon-scripts-"));
    fakes = join(project, "fakes");
    mkdirSync(fakes);
    for (const folder of ["scripts", "host"]) {
        cpSync(join(repository, folder), join(project, folder), { recursive: true });
    }
    writeFileSync(join(project, "package-lock.json"), "{}");
});

afterEach(() => rmSync(project, { recursive: true, force: true }));

/** Pretends a command: a shell script under that name. */
export function fake(command: string, body: string): void {
    const file = join(fakes, command);
    writeFileSync(file, `#!/bin/sh\n${body}\n`);
    chmodSync(file, 0o755);
}

/** A user without root: `id -u` is 1000, and sudo asks for a password. */
export function fakeOrdinaryUser(): void {
    fake("id", 'case "$1" in -u|-g) echo 1000 ;; -un) echo ada ;; esac');
    fake("sudo", "exit 1");
}

/** An engine that answers; any of its answers can be replaced. */
export function fakeDocker(
    answers: { version?: string; buildx?: string; store?: string; create?: string; pull?: string } = {},
): void {
    const {
        version = "echo 28.5.2",
        buildx = "exit 0",
        store = 'echo \'[["driver-type","io.containerd.snapshotter.v1"]]\'',
        create = "echo 0123",
        pull = "exit 0",
    } = answers;
    fake(
        "docker",
        `case "$1 $*" in
            version*) ${version} ;;
            buildx*) ${buildx} ;;
            *MemTotal*) echo 16000000000 ;;
            info*) ${store} ;;
            create*) ${create} ;;
            pull*) ${pull} ;;
            *"context show") echo default ;;
        esac`,
    );
}

/** Runs a script of the copied project, by its name in scripts/; only what the system itself has is on PATH behind the pretended commands. */
export function run(script: string, args: string[] = [], env: Record<string, string> = {}) {
    const result = spawnSync("bash", [join(project, "scripts", script), ...args], {
        encoding: "utf8",
        env: { PATH: `${fakes}:/usr/bin:/bin`, HOME: project, ...env },
    });
    return { status: result.status, output: result.stdout + result.stderr };
}

/** Runs a shell expression with the helpers of lib.sh. */
export function withLib(expression: string) {
    return spawnSync("bash", ["-c", `set -euo pipefail; . "${project}/scripts/lib.sh"; ${expression}`], {
        encoding: "utf8",
        env: { PATH: `${fakes}:/usr/bin:/bin`, HOME: project },
    });
}
