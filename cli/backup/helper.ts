import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { helperLabel } from "../docker";
import { UserError } from "../errors";
import { printableLine } from "../printable";
import { run } from "../process";

/** Folder in a volume that a restore unpacks into; what is left of one that was cut off belongs to no backup. */
export const staging = ".carbon-restore";
/** Characters that are kept of what a program complains of. */
const longestComplaint = 4_000;

/** A container for a piece of work on volumes: from an image of the suite, as root, on no network. */
export interface Helper {
    stack: string;
    image: string;
    /** Mount points by volume. */
    volumes: Record<string, string>;
    readOnly: boolean;
    /** Of capabilities(7), without `CAP_`; all others are dropped. */
    capabilities: readonly string[];
    /** For bash, by an absolute path, out of the image and nothing else. */
    script: string;
}

/** To read whatever lies in a volume. */
export const readingCapabilities = ["DAC_READ_SEARCH"] as const;
/** To make files of anybody's, with all their bits and attributes. */
export const writingCapabilities = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETFCAP"] as const;

function helperArguments(helper: Helper, name: string): string[] {
    const { stack, image, volumes, readOnly, capabilities, script } = helper;
    return [
        ...["run", "--rm", "--interactive", "--name", name, "--label", `${helperLabel}=${stack}`],
        ...[
            "--pull",
            "never",
            "--network",
            "none",
            "--read-only",
            "--no-healthcheck",
            "--user",
            "0:0",
            "--workdir",
            "/",
        ],
        // What it prints is the data itself.
        ...["--log-driver", "none"],
        ...["--cap-drop", "ALL", ...capabilities.flatMap((capability) => ["--cap-add", capability])],
        ...["--security-opt", "no-new-privileges"],
        ...Object.entries(volumes).flatMap(([volume, path]) => [
            "--mount",
            `type=volume,source=${volume},target=${path},volume-nocopy${readOnly ? ",readonly" : ""}`,
        ]),
        ...[
            "--entrypoint",
            "/bin/bash",
            image,
            "-c",
            `set -euo pipefail; PATH=/usr/sbin:/usr/bin\n${script}`,
        ],
    ];
}

/** A program of Docker's whose streams are bytes. */
export class Stream {
    private complaint = "";
    private readonly ended: Promise<number>;

    private constructor(
        private readonly child: ChildProcess,
        private readonly what: string,
        /** Ends what `docker` has started, where it outlives it. */
        private readonly remove: () => Promise<void>,
        private readonly signal: AbortSignal,
    ) {
        child.stderr?.on("data", (chunk: Buffer) => {
            this.complaint = (this.complaint + chunk.toString()).slice(-longestComplaint);
        });
        // A pipe that breaks shows in the exit code, with the reason.
        child.stdin?.on("error", () => {});
        this.ended = new Promise((resolve) => {
            child.once("error", () => resolve(127));
            child.once("close", (code) => resolve(code ?? 128));
        });
        signal.addEventListener("abort", this.stop);
    }

    /** @param what It is to be done, to end `could not …` with. */
    static helper(helper: Helper, what: string, signal: AbortSignal): Stream {
        signal.throwIfAborted();
        const name = `carbon-${helper.stack}-helper-${randomBytes(6).toString("hex")}`;
        const remove = async () => {
            await run("docker", ["rm", "--force", name]);
        };
        return new Stream(spawnDocker(helperArguments(helper, name)), what, remove, signal);
    }

    /** Runs a script in a container of the stack, by its own bash. */
    static exec(
        container: string,
        { user, script }: { user: string; script: string },
        what: string,
        signal: AbortSignal,
    ): Stream {
        signal.throwIfAborted();
        const command = ["/bin/bash", "-c", `set -euo pipefail; PATH=/usr/sbin:/usr/bin\n${script}`];
        const child = spawnDocker(["exec", "--interactive", "--user", user, container, ...command]);
        return new Stream(child, what, async () => {}, signal);
    }

    /** What it writes. */
    async *output(): AsyncGenerator<Buffer> {
        this.child.stdin?.end();
        try {
            yield* this.child.stdout as AsyncIterable<Buffer>;
            await this.end();
        } finally {
            await this.close();
        }
    }

    /** All that it writes, as text. */
    async text(): Promise<string> {
        const chunks: Buffer[] = [];
        for await (const chunk of this.output()) {
            chunks.push(chunk);
        }
        return Buffer.concat(chunks).toString();
    }

    /** Hands bytes to it, and waits where it is slower. */
    async write(bytes: Buffer): Promise<void> {
        const { stdin } = this.child;
        if (stdin && !stdin.write(bytes)) {
            await Promise.race([once(stdin, "drain", { signal: this.signal }), this.ended]);
        }
        if (this.child.exitCode !== null) {
            await this.end();
        }
    }

    /**
     * Waits until it has done its work with what it was given.
     *
     * @throws UserError with its last words where it failed.
     */
    async end(): Promise<void> {
        this.child.stdin?.end();
        this.child.stdout?.resume();
        const code = await this.ended;
        this.signal.throwIfAborted();
        if (code !== 0) {
            const words = this.complaint
                .split("\n")
                .filter((line) => line.trim())
                .at(-1);
            throw new UserError(
                `Could not ${this.what}: ${printableLine(words ?? `docker ended with code ${code}`)}`,
            );
        }
    }

    /** Ends it, wherever it is. */
    async close(): Promise<void> {
        this.signal.removeEventListener("abort", this.stop);
        if (this.child.exitCode === null) {
            await this.stop();
        }
        await this.ended;
    }

    private readonly stop = async () => {
        this.child.kill("SIGTERM");
        await this.remove();
    };
}

function spawnDocker(args: string[]): ChildProcess {
    // A group of its own: a terminal's Ctrl-C is for this command, which ends what it has started.
    return spawn("docker", args, { stdio: ["pipe", "pipe", "pipe"], detached: true });
}
