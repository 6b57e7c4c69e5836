import type { ChildProcess } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import type { Settings } from "../../settings/parse";
import { UserError } from "../errors";
import { confinedRun, helperName, spawnDocker, workspaceMount } from "../helperContainer";
import { printableLine } from "../printable";
import { run } from "../process";

/** Of a list of a million files. */
const longestList = 500_000_000;

/**
 * A container on the server that has the workspace and nothing else: what is read and written there is done by the
 * containers' user, out of an image of the suite's, so that no link leads out of the folder. It ends with this command,
 * or with the connection.
 */
export class WorkspaceHelper {
    private complaint = "";
    private isOver = false;

    private constructor(
        readonly name: string,
        private readonly child: ChildProcess,
        private readonly signal: AbortSignal,
    ) {
        child.stderr?.on("data", (chunk: Buffer) => {
            this.complaint = (this.complaint + chunk.toString()).slice(-4_000);
        });
        child.stdin?.on("error", () => {});
        child.once("exit", () => {
            this.isOver = true;
        });
        child.once("error", () => {
            this.isOver = true;
        });
    }

    /** @throws UserError where it does not start. */
    static async start(
        { stack, workspaceDir, uid, gid }: Pick<Settings, "stack" | "workspaceDir" | "uid" | "gid">,
        image: string,
        signal: AbortSignal,
    ): Promise<WorkspaceHelper> {
        const name = helperName(stack);
        const args = [
            ...confinedRun(stack, name),
            ...["--user", `${uid}:${gid}`, "--workdir", "/workspace"],
            ...workspaceMount(workspaceDir),
            // It ends when its input does.
            ...["--entrypoint", "/usr/bin/cat", image],
        ];
        const child = spawnDocker(args, ["pipe", "ignore", "pipe"]);
        const helper = new WorkspaceHelper(name, child, signal);
        while ((await run("docker", ["exec", name, "true"], { cancelSignal: signal })).exitCode !== 0) {
            if (helper.isOver || signal.aborted) {
                await helper.stop();
                signal.throwIfAborted();
                const words = helper.complaint.trim().split("\n").at(-1) ?? "";
                throw new UserError(
                    `The workspace on the server cannot be looked at: ${printableLine(words)}`,
                );
            }
            await sleep(200);
        }
        return helper;
    }

    /** @returns false once it has ended, as with a connection that broke off. */
    get isThere(): boolean {
        return !this.isOver;
    }

    /** What a program prints in it, as bytes. @throws UserError where it fails. */
    async read(command: readonly string[], input?: Buffer): Promise<Buffer> {
        const { exitCode, stdout, stderr } = await execa(
            "docker",
            ["exec", "--interactive", this.name, ...command],
            {
                reject: false,
                encoding: "buffer",
                maxBuffer: longestList,
                cancelSignal: this.signal,
                ...(input === undefined ? { stdin: "ignore" as const } : { input }),
            },
        );
        this.signal.throwIfAborted();
        if (exitCode !== 0) {
            const words = Buffer.from(stderr).toString().trim().split("\n").at(-1) ?? "";
            throw new UserError(`On the server, ${command[0]} failed: ${printableLine(words)}`);
        }
        return Buffer.from(stdout);
    }

    async stop(): Promise<void> {
        this.child.stdin?.end();
        this.child.kill("SIGTERM");
        await run("docker", ["rm", "--force", this.name], { timeout: 20_000 });
    }
}
