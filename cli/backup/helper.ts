import type { ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { docker, helperLabel, lines } from "../docker";
import { UserError } from "../errors";
import { confinedRun, helperName, spawnDocker } from "../helperContainer";
import { printableLine } from "../printable";
import { run } from "../process";

const staging = ".carbon-restore";
/** For a shell: the folders in a volume that restores unpack into. What is left of them belongs to no backup. */
export const stagings = `${staging} ${staging}-*`;

/** For tar: what keeps them out of a backup, and out of what one is unpacked into. */
export const stagingExcludes = `--exclude='./${staging}' --exclude='./${staging}-*'`;

/** Name of a folder that a restore unpacks into: another one each time, as a container of one that was killed may go on. */
export function newStaging(): string {
    return `${staging}-${randomBytes(8).toString("hex")}`;
}

/**
 * Removes the containers that a run which was killed has left at work on the stack's volumes.
 *
 * @throws UserError where one of them stays.
 */
export async function removeHelpers(stack: string): Promise<void> {
    const list = async () =>
        lines(await docker("ps", "--all", "--quiet", "--filter", `label=${helperLabel}=${stack}`));
    const found = await list();
    if (found.length > 0) {
        // One that has just ended is being removed already.
        const { exitCode, reason } = await run("docker", ["rm", "--force", ...found]);
        const left = exitCode === 0 ? [] : await list();
        if (left.length > 0) {
            throw new UserError(
                `An earlier run is still at work on the stack's volumes, and cannot be ended: ${reason}. Type: docker rm --force ${left.join(" ")}`,
            );
        }
    }
}

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
        ...confinedRun(stack, name),
        ...["--user", "0:0", "--workdir", "/"],
        ...capabilities.flatMap((capability) => ["--cap-add", capability]),
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
    private answer = "";
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
        const name = helperName(helper.stack);
        const remove = async () => {
            await run("docker", ["rm", "--force", name]);
        };
        return new Stream(spawnDocker(helperArguments(helper, name), "pipe"), what, remove, signal);
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
        const child = spawnDocker(["exec", "--interactive", "--user", user, container, ...command], "pipe");
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
        if (stdin && !stdin.destroyed && !stdin.write(bytes)) {
            const { signal } = this;
            // A pipe that breaks shows in the exit code, with the reason.
            const drained = once(stdin, "drain", { signal }).catch(() => signal.throwIfAborted());
            await Promise.race([drained, this.ended]);
        }
        if (stdin?.destroyed || this.child.exitCode !== null) {
            await this.end();
            throw new UserError(`Could not ${this.what}: it ended before it had everything`);
        }
    }

    /**
     * Waits until it has done its work with what it was given.
     *
     * @throws UserError with its last words where it failed.
     */
    async end(): Promise<void> {
        this.child.stdin?.end();
        if (!this.child.stdout?.readableFlowing) {
            this.child.stdout?.on("data", (chunk: Buffer) => {
                this.answer += chunk.toString();
            });
        }
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

    /** What it has written, where nobody reads its output: little. */
    get said(): string {
        return this.answer;
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
