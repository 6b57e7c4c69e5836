import { existsSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";

/** Root of the project. */
export const root = join(__dirname, "../..");

/**
 * Runs a tool over the project.
 *
 * @throws Error with all that it says where it finds something.
 */
export async function check(command: string, ...args: string[]): Promise<void> {
    const { exitCode, all } = await execa(command, args, { cwd: root, all: true, reject: false });
    if (exitCode !== 0) {
        throw new Error(`${command} exited with ${exitCode}:\n${all}`);
    }
}

/** Names of the project's files, by the arguments of a git command that lists them; without those that are gone. */
export async function files(...args: string[]): Promise<string[]> {
    const { stdout } = await execa("git", args, { cwd: root });
    return stdout.split("\n").filter((name) => name !== "" && existsSync(join(root, name)));
}
