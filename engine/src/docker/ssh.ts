import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { Agent } from "node:http";
import { Duplex } from "node:stream";
import { EngineError } from "../engine-error";

/** Characters that are kept of what ssh complains of. */
const LONGEST_COMPLAINT = 4_000;

/**
 * Reaches a Docker Engine as Docker's own command does (docker/cli, cli/connhelper): each connection is an `ssh` that runs
 * `docker system dial-stdio` on the server. Logins, keys and the server's own key are ssh's to know; it is that of PATH.
 */
export class SshAgent extends Agent {
    private readonly args: string[];

    /** @param url `ssh://[user@]host[:port]` */
    constructor(url: URL) {
        super();
        const { username, hostname, port, pathname, password } = url;
        const host = hostname.replace(/^\[|\]$/g, "");
        if (!host || host.startsWith("-") || password || !["", "/"].includes(pathname)) {
            throw new EngineError(
                "The address of a Docker Engine over SSH is ssh://host, ssh://user@host or ssh://user@host:port.",
            );
        }
        this.args = [
            ...(username ? ["-l", decodeURIComponent(username)] : []),
            ...(port ? ["-p", port] : []),
            ...["-o", "ConnectTimeout=30", "-T", "--", host, "docker", "system", "dial-stdio"],
        ];
    }

    override createConnection(
        _options: unknown,
        connected?: (error: Error | null, stream: Duplex) => void,
    ): Duplex {
        const stream = new Connection(spawn("ssh", this.args, { stdio: "pipe" }));
        connected?.(null, stream);
        return stream;
    }
}

/** The streams of an ssh as one. It fails with ssh's last words, where it ends with an error. */
class Connection extends Duplex {
    private complaint = "";

    constructor(private readonly child: ChildProcessWithoutNullStreams) {
        super();
        child.stdout.on("data", (chunk: Buffer) => {
            if (!this.push(chunk)) {
                child.stdout.pause();
            }
        });
        child.stderr.on("data", (chunk: Buffer) => {
            this.complaint = (this.complaint + chunk.toString()).slice(-LONGEST_COMPLAINT);
        });
        // A pipe that breaks shows in how ssh ends.
        child.stdin.on("error", () => {});
        child.once("error", (error) => this.destroy(unreachable(`ssh does not start: ${error.message}`)));
        child.once("close", (code) => {
            // Whoever has the whole answer has ended its side; who has not would wait for ever.
            if (code === 0 && this.writableEnded) {
                this.push(null);
                return;
            }
            const ending = code === 0 ? "the server ended the connection" : `ssh ended with code ${code}`;
            this.destroy(unreachable(this.complaint.trim() || ending));
        });
    }

    override _read(): void {
        this.child.stdout.resume();
    }

    override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
        this.child.stdin.write(chunk, () => done());
    }

    override _final(done: () => void): void {
        this.child.stdin.end(() => done());
    }

    override _destroy(error: Error | null, done: (error: Error | null) => void): void {
        this.child.kill();
        done(error);
    }
}

function unreachable(message: string): Error {
    return Object.assign(new Error(message), { code: "ECONNREFUSED" });
}
