import { type ChildProcess, spawn } from "node:child_process";
import {
    closeSync,
    copyFileSync,
    existsSync,
    mkdirSync,
    openSync,
    readdirSync,
    readFileSync,
    rmSync,
    symlinkSync,
    writeFileSync,
} from "node:fs";
import * as path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";

/** Begins the names of their interfaces, so that one rule lets all of them talk to one another. */
const interfaces = "carbonse";
/** Of this engine's builder, as every test builds little. */
const builderGc = { enabled: true, defaultKeepStorage: "2GB" };
/** Makes a machine of its own of what follows a name and, where there is one, a folder. */
const machine =
    'hostname "$0" && if [ -n "$1" ]; then mount -t tmpfs -o mode=1777 none "$1"; fi && shift && exec "$@"';
/** Processes and mounts of a killed engine are gone after some moments. */
const patience = 60_000;

/** What a second engine may have besides its own address. */
export interface SecondEngineOptions {
    /** Lets it reach the internet through this machine. */
    outgoing?: boolean;
    /**
     * Gives it all images that this machine's engine has when it starts. They take no disk: what it reads of them are that
     * engine's files. Wants one that has a containerd of its own, as where `dockerd` is started by hand.
     */
    images?: boolean;
    /** A folder of this machine that is another one, and empty, on the engine's. */
    otherFolder?: string;
    /** More of its daemon.json, such as `insecure-registries`. */
    config?: Record<string, unknown>;
}

/**
 * A Docker Engine beside this machine's, as on a machine of its own: with data, containerd, socket, address and rules of
 * its own. Engines of different numbers run side by side and reach one another and this machine; each has all of the
 * machine's processors, memory and folders. Needs root and Linux.
 */
export class SecondEngine {
    readonly name: string;
    /** Network namespace, as `ip netns` knows it. */
    readonly namespace: string;
    /** For DOCKER_HOST. */
    readonly host: string;
    /** Of the engine; other machines reach it there. */
    readonly address: string;
    /** Of this machine, as the engine reaches it. */
    readonly hostAddress: string;
    /** This machine's end of the line to it. */
    readonly interface: string;
    private readonly folder: string;
    private daemon?: ChildProcess;

    /** @param index From 1 to 250; an engine of the same number that an earlier run has left is removed. */
    constructor(
        index: number,
        private readonly options: SecondEngineOptions = {},
    ) {
        this.name = `carbon-engine-${index}`;
        this.namespace = this.name;
        this.folder = `/var/lib/${this.name}`;
        this.host = `unix://${this.folder}/docker.sock`;
        this.interface = `${interfaces}${index}`;
        // A range that nobody routes (RFC 2544).
        [this.hostAddress, this.address] = [`198.18.${index}.1`, `198.18.${index}.2`];
    }

    /** Starts an engine without images and waits until it answers. */
    static async start(index: number, options?: SecondEngineOptions): Promise<SecondEngine> {
        const engine = new SecondEngine(index, options);
        await engine.remove();
        try {
            await engine.makeNetwork();
            mkdirSync(engine.folder, { recursive: true, mode: 0o711 });
            if (options?.images) {
                await engine.shareImages();
            }
            await engine.boot();
        } catch (error) {
            await engine.remove();
            throw error;
        }
        return engine;
    }

    /** Runs a command where the engine is on the network. @returns its standard output. */
    async run(command: readonly string[]): Promise<string> {
        const { stdout } = await execa("nsenter", [`--net=/run/netns/${this.namespace}`, ...command]);
        return stdout;
    }

    /** Runs a `docker` command against it. @returns its standard output. */
    async docker(...args: string[]): Promise<string> {
        const { stdout } = await execa("docker", args, { env: { DOCKER_HOST: this.host } });
        return stdout;
    }

    /** Stops it in order, with its containers, and starts it again. */
    async restart(): Promise<void> {
        this.daemon?.kill("SIGTERM");
        await until(() => this.processes().length === 0, `${this.name} has stopped`);
        await this.boot();
    }

    /** Ends it at once with all that runs on it, as when a machine loses its power. */
    async kill(): Promise<void> {
        await until(() => {
            const left = this.processes();
            for (const pid of left) {
                endNow(pid);
            }
            return left.length === 0;
        }, `${this.name} is gone`);
    }

    /** Starts it again after {@link kill}. */
    async boot(): Promise<void> {
        const config = path.join(this.folder, "daemon.json");
        const settings = { features: { "containerd-snapshotter": true }, builder: { gc: builderGc } };
        writeFileSync(config, JSON.stringify({ ...settings, ...this.options.config }));
        for (const name of ["docker.pid", "exec/containerd/containerd.pid"]) {
            rmSync(path.join(this.folder, name), { force: true });
        }
        const { otherFolder = "" } = this.options;
        const log = openSync(path.join(this.folder, "log"), "a");
        // Not `ip netns exec`: it mounts another /sys, without control groups.
        this.daemon = spawn(
            "nsenter",
            [
                `--net=/run/netns/${this.namespace}`,
                // A name of its own, by which a Swarm tells its nodes apart, and mounts of its own.
                ...["unshare", "--uts", "--mount", "sh", "-c", machine, this.name, otherFolder],
                "dockerd",
                `--config-file=${config}`,
                `--host=${this.host}`,
                `--data-root=${this.folder}/data`,
                `--exec-root=${this.folder}/exec`,
                `--pidfile=${this.folder}/docker.pid`,
                // Where the machine has a containerd for all, it keeps them apart.
                `--containerd-namespace=${this.containerdNamespace}`,
                `--containerd-plugins-namespace=${this.name}-plugins`,
            ],
            { stdio: ["ignore", log, log], detached: true },
        );
        this.daemon.unref();
        closeSync(log);
        await until(
            async () =>
                (await execa("docker", ["--host", this.host, "version"], { reject: false })).exitCode === 0,
            `${this.name} answers`,
        ).catch((error: Error) => {
            const said = readFileSync(path.join(this.folder, "log"), "utf8")
                .split("\n")
                .slice(-15)
                .join("\n");
            throw new Error(`${error.message}:\n${said}`);
        });
    }

    /** Removes it with everything that it has; one that is not there is fine. */
    async remove(): Promise<void> {
        await this.kill();
        const groups = this.controlGroups();
        for (const mount of mountsBelow(this.folder)) {
            await quietly("umount", "--lazy", mount);
        }
        await quietly("ip", "link", "del", this.interface);
        await quietly("ip", "netns", "del", this.namespace);
        for (const rule of this.rules()) {
            while (await quietly("iptables", "-w", "-t", rule.table, "-D", ...rule.spec)) {
                // An earlier run may have left it twice.
            }
        }
        for (const group of groups) {
            await quietly("rmdir", group);
        }
        rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
    }

    /** Images are known by the namespace of the engine that has them, which is Docker's own. */
    private get containerdNamespace(): string {
        return this.options.images ? "moby" : this.name;
    }

    /**
     * Links to the other engine's layers and blobs, neither of which ever changes: to take one away takes the link. Only
     * what is known of them is copied.
     */
    private async shareImages(): Promise<void> {
        const { stdout: root } = await execa("docker", ["info", "--format", "{{.DockerRootDir}}"]);
        const [from, to] = [root, `${this.folder}/data`].map((data) => `${data}/containerd/daemon`) as [
            string,
            string,
        ];
        if (!existsSync(from)) {
            throw new Error(`${from} is not there: this machine's engine keeps its images elsewhere`);
        }
        const [content, layers] = ["content.v1.content", "snapshotter.v1.overlayfs"].map(
            (name) => `io.containerd.${name}`,
        );
        for (const folder of [`${content}/blobs/sha256`, `${layers}/snapshots`]) {
            mkdirSync(`${to}/${folder}`, { recursive: true });
            for (const name of readdirSync(`${from}/${folder}`)) {
                symlinkSync(`${from}/${folder}/${name}`, `${to}/${folder}/${name}`);
            }
        }
        for (const file of [`${layers}/metadata.db`, "io.containerd.metadata.v1.bolt/meta.db"]) {
            mkdirSync(path.dirname(`${to}/${file}`), { recursive: true });
            copyFileSync(`${from}/${file}`, `${to}/${file}`);
        }
    }

    private async makeNetwork(): Promise<void> {
        await execa("ip", ["netns", "add", this.namespace]);
        const peer = ["peer", "name", "eth0", "netns", this.namespace];
        await execa("ip", ["link", "add", this.interface, "type", "veth", ...peer]);
        await execa("ip", ["addr", "add", `${this.hostAddress}/24`, "dev", this.interface]);
        await execa("ip", ["link", "set", this.interface, "up"]);
        await this.run(["ip", "link", "set", "lo", "up"]);
        await this.run(["ip", "addr", "add", `${this.address}/24`, "dev", "eth0"]);
        await this.run(["ip", "link", "set", "eth0", "up"]);
        await this.run(["ip", "route", "add", "default", "via", this.hostAddress]);
        // The machine's engine has set it already.
        writeFileSync("/proc/sys/net/ipv4/ip_forward", "1");
        for (const { table, spec } of this.rules()) {
            await execa("iptables", ["-w", "-t", table, "-I", ...spec]);
        }
    }

    /** Lets it reach the other engines and, where asked for, the internet: Docker's own rules forbid what they don't know. */
    private rules(): { table: string; spec: string[] }[] {
        const accept = ["-j", "ACCEPT"];
        const between = ["FORWARD", "-i", this.interface, "-o", `${interfaces}+`, ...accept];
        const out = ["FORWARD", "-i", this.interface, ...accept];
        const back = ["-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED"];
        const answers = ["FORWARD", "-o", this.interface, ...back, ...accept];
        const own = `${this.address}/32`;
        const masquerade = ["POSTROUTING", "-s", own, "!", "-o", `${interfaces}+`, "-j", "MASQUERADE"];
        return [
            { table: "filter", spec: between },
            ...(this.options.outgoing
                ? [
                      { table: "filter", spec: out },
                      { table: "filter", spec: answers },
                      { table: "nat", spec: masquerade },
                  ]
                : []),
        ];
    }

    /** The engine, its containerd, and their containers' processes with all that those started. */
    private processes(): number[] {
        const all = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
        const parents = new Map(all.map((pid) => [Number(pid), parentOf(pid)]));
        const own = all.filter((pid) => read(`/proc/${pid}/cmdline`).includes(`${this.folder}/`)).map(Number);
        const found = new Set(own);
        const belongs = (pid: number | undefined): boolean =>
            pid !== undefined && pid > 1 && (found.has(pid) || belongs(parents.get(pid)));
        // A zombie waits for nobody but its parent.
        return [...parents.keys()].filter((pid) => belongs(pid) && pid !== process.pid && !isZombie(pid));
    }

    /** Control groups of its containers, which stay behind when their processes are killed. */
    private controlGroups(): string[] {
        const tasks = `${this.folder}/exec/containerd/daemon/io.containerd.runtime.v2.task/${this.containerdNamespace}`;
        const ids = existsSync(tasks) ? readdirSync(tasks) : [];
        const hierarchies = ["", ...readdirSync("/sys/fs/cgroup")];
        return ids
            .flatMap((id) => hierarchies.map((name) => path.join("/sys/fs/cgroup", name, "docker", id)))
            .filter((group) => existsSync(group));
    }
}

function read(file: string): string {
    try {
        return readFileSync(file, "utf8");
    } catch {
        // The process has ended since.
        return "";
    }
}

/** From the fields behind the name, which may hold anything. */
function stat(pid: number | string): string[] {
    const line = read(`/proc/${pid}/stat`);
    return line.slice(line.lastIndexOf(")") + 2).split(" ");
}

function parentOf(pid: string): number {
    return Number(stat(pid)[1] ?? 0);
}

function isZombie(pid: number): boolean {
    return ["Z", "X", ""].includes(stat(pid)[0] ?? "");
}

function endNow(pid: number): void {
    try {
        process.kill(pid, "SIGKILL");
    } catch {
        // It has ended since.
    }
}

/** The deepest first. */
function mountsBelow(folder: string): string[] {
    return read("/proc/mounts")
        .split("\n")
        .map((line) => line.split(" ")[1] ?? "")
        .filter((mount) => mount.startsWith(`${folder}/`))
        .reverse();
}

async function quietly(command: string, ...args: string[]): Promise<boolean> {
    return (await execa(command, args, { reject: false })).exitCode === 0;
}

async function until(isSo: () => boolean | Promise<boolean>, what: string): Promise<void> {
    const end = Date.now() + patience;
    while (!(await isSo())) {
        if (Date.now() > end) {
            throw new Error(`In ${patience / 1000} seconds it did not come true that ${what}`);
        }
        await sleep(200);
    }
}
