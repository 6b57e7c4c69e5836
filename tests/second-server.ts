import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import * as path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { SecondEngine, type SecondEngineOptions } from "./second-engine";

const patience = 30_000;

/**
 * A server that SSH leads to: a second engine with an sshd of its own. Its files are this machine's, and so is its user;
 * `docker` on it talks to its own engine. Needs root, Linux and Debian's openssh-server.
 */
export class SecondServer {
    /** Of those who log in: for PATH, HOME, and whatever else a test adds. */
    readonly env: Record<string, string>;
    private daemon?: ChildProcess;

    private constructor(
        readonly engine: SecondEngine,
        /** Of its own: keys, settings, and the home folder of who logs in. */
        readonly folder: string,
    ) {
        this.env = { PATH: `${folder}/bin:${process.env.PATH}`, HOME: folder };
    }

    /** Starts an engine without images and an sshd beside it, and waits until both answer. */
    static async start(index: number, options?: SecondEngineOptions): Promise<SecondServer> {
        const engine = await SecondEngine.start(index, options);
        // Short, for ssh's sockets in it.
        const server = new SecondServer(engine, mkdtempSync("/tmp/cs-"));
        try {
            await server.makeKeys();
            await server.boot();
        } catch (error) {
            await server.remove();
            throw error;
        }
        return server;
    }

    /** For the setting `dockerContext`. */
    get address(): string {
        return `ssh://root@${this.engine.address}`;
    }

    /** Starts sshd. */
    async boot(): Promise<void> {
        mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
        this.daemon = spawn(
            "nsenter",
            [
                `--net=/run/netns/${this.engine.namespace}`,
                ...["/usr/sbin/sshd", "-D", "-f", this.file("sshd_config"), "-E", this.file("sshd.log")],
            ],
            { stdio: "ignore" },
        );
        const end = Date.now() + patience;
        while (!(await this.answers())) {
            if (Date.now() > end) {
                throw new Error(`sshd does not answer:\n${readFileSync(this.file("sshd.log"), "utf8")}`);
            }
            await sleep(100);
        }
    }

    /** Ends sshd and every connection to it, as with a cable that is pulled; the engine goes on. */
    async cut(): Promise<void> {
        this.daemon?.kill("SIGKILL");
        // A session's own process is not below the listening one for `kill`.
        const { stdout } = await execa("pgrep", ["--full", "^sshd: root"], { reject: false });
        const own = stdout
            .split("\n")
            .filter(Boolean)
            .filter((pid) => this.isInside(pid));
        for (const pid of own) {
            process.kill(Number(pid), "SIGKILL");
        }
        while (this.daemon && this.daemon.exitCode === null && this.daemon.signalCode === null) {
            await sleep(50);
        }
    }

    /** Has it show another host key, as one that was set up anew. */
    async changeKey(): Promise<void> {
        rmSync(this.file("host"));
        rmSync(this.file("host.pub"));
        await this.makeKey("host");
    }

    /** Has who logs in know its key. */
    trustKey(): void {
        writeFileSync(this.file("known_hosts"), `${this.engine.address} ${this.publicKey("host")}`);
    }

    async remove(): Promise<void> {
        await this.cut().catch(() => {});
        await this.engine.remove();
        rmSync(this.folder, { recursive: true, force: true });
    }

    private file(name: string): string {
        return path.join(this.folder, name);
    }

    private publicKey(name: string): string {
        return readFileSync(this.file(`${name}.pub`), "utf8");
    }

    /** Whichever key it shows. */
    private answers(): Promise<boolean> {
        return new Promise((resolve) => {
            const socket = connect(22, this.engine.address);
            socket.once("data", () => {
                resolve(true);
                socket.destroy();
            });
            socket.once("error", () => resolve(false));
            socket.once("close", () => resolve(false));
            socket.setTimeout(1000, () => socket.destroy());
        });
    }

    private isInside(pid: string): boolean {
        try {
            const namespace = (of: string) => readFileSync(`/proc/${of}/net/fib_trie`, "utf8");
            return (
                namespace(pid).includes(this.engine.address) &&
                !namespace(pid).includes(this.engine.hostAddress)
            );
        } catch {
            // It has ended since.
            return false;
        }
    }

    private async makeKey(name: string): Promise<void> {
        await execa("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", this.file(name)]);
    }

    private async makeKeys(): Promise<void> {
        await this.makeKey("host");
        await this.makeKey("user");
        writeFileSync(this.file("authorized_keys"), this.publicKey("user"), { mode: 0o600 });
        this.trustKey();
        const server = [
            `ListenAddress ${this.engine.address}`,
            `HostKey ${this.file("host")}`,
            `AuthorizedKeysFile ${this.file("authorized_keys")}`,
            "PidFile none",
            "UsePAM no",
            "PermitRootLogin prohibit-password",
            // The test's folder lies in /tmp.
            "StrictModes no",
            `SetEnv DOCKER_HOST=${this.engine.host}`,
        ];
        writeFileSync(this.file("sshd_config"), `${server.join("\n")}\n`);
        // ssh takes the user's folder from the system, whatever HOME says.
        const client = [
            "Host *",
            `    IdentityFile ${this.file("user")}`,
            "    IdentitiesOnly yes",
            `    UserKnownHostsFile ${this.file("known_hosts")}`,
            "    GlobalKnownHostsFile none",
        ];
        writeFileSync(this.file("ssh_config"), `${client.join("\n")}\n`);
        mkdirSync(this.file("bin"));
        writeFileSync(
            this.file("bin/ssh"),
            `#!/bin/sh\nexec /usr/bin/ssh -F ${this.file("ssh_config")} "$@"\n`,
        );
        chmodSync(this.file("bin/ssh"), 0o755);
    }
}
