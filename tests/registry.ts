import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";

/** The one login. */
export const registryLogin = { user: "ada", password: "secret" };
// htpasswd -Bbn ada secret
const htpasswd = "ada:$2y$05$/79pdc0eRZEsXryizpOx6uNXvOuMWEIyp/4Q8zW4.I1IALAy7D1yq";

/** References of the images that the Docker Engine has under a prefix; by digest of those that have no tag. */
export async function imagesOf(prefix: string): Promise<string[]> {
    const format = "{{.Repository}} {{.Tag}} {{.Digest}}";
    const { stdout } = await execa("docker", ["image", "ls", "--digests", "--format", format]);
    return stdout
        .split("\n")
        .map((line) => line.split(" "))
        .filter(([name = ""]) => name.startsWith(prefix))
        .map(([name, tag, digest]) => (tag === "<none>" ? `${name}@${digest}` : `${name}:${tag}`));
}

/** Removes them. */
export async function removeImages(prefix: string): Promise<void> {
    for (const image of await imagesOf(prefix)) {
        await execa("docker", ["image", "rm", "--force", image], { reject: false });
    }
}

/**
 * Debian's registry on a port of the loopback, which Docker speaks plain HTTP to, with a login. Registries of one folder
 * have the same images: so one in another network namespace is the same registry as seen from there.
 */
export class Registry {
    private server?: ChildProcess;

    /** @param namespace Network namespace; this machine's own when absent. */
    private constructor(
        readonly folder: string,
        private readonly port: number,
        private readonly namespace?: string,
    ) {}

    static async start(port: number): Promise<Registry> {
        const registry = new Registry(mkdtempSync(join(tmpdir(), "carbon-registry-")), port);
        await registry.serve();
        return registry;
    }

    /** The same registry on the loopback of a network namespace. */
    async within(namespace: string): Promise<Registry> {
        const other = new Registry(this.folder, this.port, namespace);
        await other.serve();
        return other;
    }

    /** `host:port` */
    get address(): string {
        return `127.0.0.1:${this.port}`;
    }

    /** Starts to answer, also after {@link stop}. */
    async serve(): Promise<void> {
        const config = join(this.folder, "config.json");
        writeFileSync(join(this.folder, "htpasswd"), `${htpasswd}\n`);
        writeFileSync(
            config,
            JSON.stringify({
                version: "0.1",
                log: { level: "error" },
                storage: { filesystem: { rootdirectory: join(this.folder, "data") } },
                http: { addr: this.address },
                auth: { htpasswd: { realm: "test", path: join(this.folder, "htpasswd") } },
            }),
        );
        const command = ["docker-registry", "serve", config];
        const [program = "", ...args] = this.namespace
            ? ["nsenter", `--net=/run/netns/${this.namespace}`, ...command]
            : command;
        this.server = spawn(program, args, { stdio: "ignore" });
        await this.answers();
    }

    private async answers(): Promise<void> {
        const ask = ["--silent", "--output", "/dev/null", `http://${this.address}/v2/`];
        const [program = "", ...args] = this.namespace
            ? ["nsenter", `--net=/run/netns/${this.namespace}`, "curl", ...ask]
            : ["curl", ...ask];
        for (let tries = 0; (await execa(program, args, { reject: false })).exitCode !== 0; tries += 1) {
            if (tries > 50 || this.server?.exitCode !== null) {
                throw new Error(`The registry on ${this.address} does not answer`);
            }
            await sleep(200);
        }
    }

    /** Gone at once, in the middle of whatever it does. */
    stop(): void {
        this.server?.kill("SIGKILL");
    }

    /** Takes the largest layer out of its reach. @returns what puts it back. */
    hideLargest(): () => void {
        const blobs = join(this.folder, "data", "docker", "registry", "v2", "blobs", "sha256");
        const files = readdirSync(blobs, { recursive: true, encoding: "utf8" })
            .filter((name) => name.endsWith("/data"))
            .map((name) => join(blobs, name))
            .sort((one, other) => statSync(other).size - statSync(one).size);
        const [file = ""] = files;
        renameSync(file, `${file}.hidden`);
        return () => renameSync(`${file}.hidden`, file);
    }

    /** Stops it and forgets its images. */
    remove(): void {
        this.stop();
        rmSync(this.folder, { recursive: true, force: true });
    }

    /** A folder for DOCKER_CONFIG with a login for it, as `docker login` leaves it. */
    dockerConfig(name: string, { user, password } = registryLogin): string {
        const folder = join(this.folder, name);
        mkdirSync(folder, { recursive: true });
        const auth = Buffer.from(`${user}:${password}`).toString("base64");
        writeFileSync(join(folder, "config.json"), JSON.stringify({ auths: { [this.address]: { auth } } }));
        return folder;
    }
}
