import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { helperLabel } from "./docker";

/** Another name for each container that a command makes for a moment. */
export function helperName(stack: string): string {
    return `carbon-${stack}-helper-${randomBytes(6).toString("hex")}`;
}

/** Arguments of `docker run`: nothing is done as another user, written elsewhere than to what is mounted, or looked after. */
export const confinement: readonly string[] = [
    ...["--read-only", "--no-healthcheck", "--security-opt", "no-new-privileges", "--cap-drop", "ALL"],
];

/**
 * Arguments of `docker` that run such a container with nothing but what is added to them: no network, no capability, no log,
 * as what it prints may be the data itself.
 */
export function confinedRun(stack: string, name: string): string[] {
    return [
        ...["run", "--rm", "--interactive", "--name", name, "--label", `${helperLabel}=${stack}`],
        ...["--pull", "never", "--network", "none", "--log-driver", "none"],
        ...confinement,
    ];
}

/** Starts `docker` in a group of its own: a terminal's Ctrl-C is for this command, which ends what it has started. */
export function spawnDocker(args: readonly string[], stdio: SpawnOptions["stdio"]): ChildProcess {
    return spawn("docker", args, { stdio, detached: true });
}

/** Arguments that give a container a stack's folder. The value is a line of CSV, in which a path may have a quotation mark. */
export function workspaceMount(folder: string): string[] {
    return ["--mount", `type=bind,"source=${folder.replaceAll('"', '""')}",target=/workspace`];
}
