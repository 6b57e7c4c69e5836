import { execFileSync, spawnSync } from "node:child_process";
import {
    existsSync,
    mkdirSync,
    mkdtempSync,
    readdirSync,
    readFileSync,
    readlinkSync,
    rmSync,
    statSync,
    symlinkSync,
    writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { EngineError, up } from "../../src";
import { Monitor } from "../../src/monitor";

const NOBODY = 65534;
const onLinux = process.platform === "linux";
let dir: string;
let stop: AbortController;

beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "socket-test-"));
    stop = new AbortController();
});
afterEach(() => {
    vi.unstubAllEnvs();
    rmSync(dir, { recursive: true, force: true });
});

/** Runs a program that waits; `look` is called meanwhile, with the monitor's address from the list of processes. */
async function whileRunning(look: (address: string, programPid: number) => unknown): Promise<unknown> {
    symlinkSync(join(__dirname, "..", "..", "..", "node_modules"), join(dir, "node_modules"));
    writeFileSync(join(dir, "Pulumi.yaml"), "name: demo\nruntime: nodejs\n");
    writeFileSync(join(dir, "package.json"), '{ "main": "index.ts" }');
    writeFileSync(
        join(dir, "index.ts"),
        'console.log("here " + process.pid); setTimeout(() => process.exit(4), 60_000);',
    );
    let failure: unknown;
    const show = (event: { kind: string; text?: string }) => {
        const pid = Number(/^here (\d+)$/.exec(event.text ?? "")?.[1]);
        if (pid) {
            try {
                const line = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
                look(String(line.find((word) => word.startsWith("--monitor="))?.slice(10)), pid);
            } catch (error) {
                failure = error;
            }
            stop.abort();
        }
    };
    const display = { show };
    const location = { projectDir: dir, stateDir: join(dir, "state"), stack: "dev", passphrase: "test" };
    const end = await up({ ...location, display, signal: stop.signal }).catch((error: unknown) => error);
    if (failure) {
        throw failure;
    }
    return end;
}

/** The local addresses of the TCP sockets on which a process listens, as the kernel writes them. */
function listening(pid: number): string[] {
    const inodes = readdirSync(`/proc/${pid}/fd`).map((fd) => {
        try {
            return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
        } catch {
            return undefined;
        }
    });
    const tables = ["tcp", "tcp6"].map((table) => `/proc/net/${table}`).filter(existsSync);
    return tables
        .flatMap((table) => readFileSync(table, "utf8").split("\n").slice(1))
        .map((line) => line.trim().split(/\s+/))
        .filter(([, , , state, , , , , , inode]) => state === "0A" && inodes.includes(inode))
        .map(([, local]) => String(local));
}

describe.runIf(onLinux)("while a program runs, the engine", () => {
    it("listens on no port, and neither does the program", async () => {
        const ports: string[] = ["not looked"];
        await whileRunning((_, pid) => ports.splice(0, 1, ...listening(process.pid), ...listening(pid)));
        expect(ports).toEqual([]);
    });

    it("has its socket in a folder that only this user can enter, and takes it away when interrupted", async () => {
        let folder = "";
        const end = await whileRunning((address) => {
            folder = dirname(address.replace(/^unix:/, ""));
            expect(statSync(join(folder, "s")).isSocket()).toBe(true);
            expect((statSync(folder).mode & 0o777).toString(8)).toBe("700");
        });
        expect(String(end)).toContain("Interrupted");
        expect(existsSync(folder)).toBe(false);
    });
});

describe("a command of another user", () => {
    // What runs in this process cannot answer while a child is waited for, so the monitor has one of its own.
    const serve = `
        const { Monitor } = require("./engine/src/monitor");
        const { execSync } = require("node:child_process");
        const registerResource = async ({ inputs }) =>
            ({ urn: "urn", outputs: { stdout: execSync(inputs.create).toString().trim() } });
        new Monitor({ registerResource, fail: console.error }).listen().then((address) => console.log(address));`;

    it.runIf(onLinux && process.getuid?.() === 0)(
        "is refused, and the same of this user is carried out",
        async () => {
            const { execa } = await import("execa");
            const root = join(__dirname, "..", "..", "..");
            const server = execa(process.execPath, ["-r", "ts-node/register/transpile-only", "-e", serve], {
                cwd: root,
                reject: false,
            });
            try {
                const { value: address } = await server[Symbol.asyncIterator]().next();
                const ask = (uid: number) =>
                    execFileSync(process.execPath, [join(__dirname, "stranger.cjs"), address, String(uid)], {
                        encoding: "utf8",
                    });
                expect(ask(0)).toBe('ran: "0"\n');
                expect(ask(NOBODY)).toContain("EACCES");
                rmSync(dirname(String(address).replace("unix:", "")), { recursive: true });
            } finally {
                server.kill();
            }
        },
    );
});

describe("the folder for temporary files is refused", () => {
    async function listenIn(folder: string): Promise<string> {
        vi.stubEnv("TMPDIR", folder);
        const monitor = new Monitor({} as never);
        const address = monitor.listen().finally(() => monitor.close());
        const error = await address.catch((thrown: unknown) => thrown);
        return error instanceof EngineError ? error.message : `no refusal: ${error}`;
    }

    it("where a socket's path would be too long", async () => {
        const long = join(dir, "x".repeat(90));
        mkdirSync(long);
        expect(await listenIn(long)).toContain("set TMPDIR to a shorter one");
        expect(readdirSync(long)).toEqual([]);
    });

    it("where others could put a folder of theirs in its place, also behind a link", async () => {
        mkdirSync(join(dir, "open"));
        spawnSync("chmod", ["777", join(dir, "open")]);
        symlinkSync(join(dir, "open"), join(dir, "link"));
        expect(await listenIn(join(dir, "link"))).toContain(`chmod go-w ${join(dir, "open")}`);
        spawnSync("chmod", ["1777", join(dir, "open")]);
        expect(await listenIn(join(dir, "open"))).toContain("no refusal: unix:");
    });

    it("where there is none", async () => {
        expect(await listenIn(join(dir, "nowhere"))).toContain("Set TMPDIR to one that you may write to");
    });
});
