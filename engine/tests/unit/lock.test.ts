import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
    existsSync,
    mkdirSync,
    mkdtempSync,
    readdirSync,
    readFileSync,
    rmSync,
    statSync,
    writeFileSync,
} from "node:fs";
import { hostname, tmpdir, uptime } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { lockStack, removeDeadLocks, removeLocks } from "../../src/lock";
import { machineNames } from "../../src/machine-names";
import { isAtWork, processStart } from "../../src/process-life";

let root: string;
let dir: string;
const stack = () => ({ stateDir: root, project: "demo", stack: "dev" });

beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "lock-"));
    dir = join(root, ".pulumi", "locks", "organization", "demo", "dev");
});
afterEach(() => rmSync(root, { recursive: true }));

/** A lock as the real CLI writes it. */
function foreignLock(pid: number, host: string, timestamp = new Date().toISOString()): void {
    mkdirSync(dir, { recursive: true });
    const content = { pid, username: "someone", hostname: host, timestamp };
    writeFileSync(join(dir, "foreign.json"), JSON.stringify(content));
    writeFileSync(join(dir, "foreign.json.attrs"), "{}");
}

const locks = () => readdirSync(dir).filter((file) => file.endsWith(".json"));

/** A process that runs until the test is over: one that could have locked a stack, or another. */
function living(program = process.execPath): ChildProcess {
    const args = program === process.execPath ? ["--eval", "setInterval(() => {}, 1000)"] : ["600"];
    const child = spawn(program, args, { stdio: "ignore" });
    onTestFinished(() => void child.kill("SIGKILL"));
    return child;
}

describe("a stack's lock", () => {
    it("keeps a second run out, and names the first", () => {
        const release = lockStack(root, "demo", "dev");
        expect(() => lockStack(root, "demo", "dev")).toThrow(
            new RegExp(
                `^Stack 'dev' is locked by .*@.* \\(pid ${process.pid}\\) since .*Z: wait for that run to end\\.$`,
            ),
        );
        release();
        lockStack(root, "demo", "dev")();
        expect(readdirSync(dir)).toEqual([]);
    });

    it("is for its user alone, and leaves nothing else behind", () => {
        const release = lockStack(root, "demo", "dev");
        expect(statSync(join(dir, locks()[0] ?? "")).mode & 0o777).toBe(0o600);
        release();
        expect(readdirSync(root).filter((file) => file.startsWith(".lock"))).toEqual([]);
    });

    it("of the real CLI on another machine counts", () => {
        foreignLock(1, "elsewhere");
        expect(() => lockStack(root, "demo", "dev")).toThrow("locked by someone@elsewhere (pid 1)");
        expect(removeDeadLocks(stack())).toMatchObject([{ owner: { hostname: "elsewhere", here: false } }]);
        expect(locks()).toEqual(["foreign.json"]);
    });

    it("of the real CLI on another machine counts also where a process of this one has its pid", () => {
        foreignLock(process.pid, "elsewhere", "2020-01-01T00:00:00Z");
        expect(removeDeadLocks(stack())).toHaveLength(1);
    });

    it("of a process of this machine that lives counts", () => {
        foreignLock(living().pid ?? 0, hostname());
        expect(removeDeadLocks(stack())).toMatchObject([{ owner: { here: true } }]);
    });

    it("is not taken from a file of the CLI's that lies beside one", () => {
        mkdirSync(dir, { recursive: true });
        writeFileSync(join(dir, "gone.json.attrs"), "{}");
        lockStack(root, "demo", "dev")();
    });

    it("that cannot be read counts, and the file is named", () => {
        mkdirSync(dir, { recursive: true });
        writeFileSync(join(dir, "half.json"), "");
        expect(() => lockStack(root, "demo", "dev")).toThrow(
            `The lock file ${join(dir, "half.json")} is unreadable, so that nobody knows who holds stack 'dev'`,
        );
        expect(locks()).toEqual(["half.json"]);
    });

    it("goes at a cancel, whoever's it is, with the CLI's file beside it", () => {
        foreignLock(1, "elsewhere");
        expect(removeLocks(stack())).toBe(1);
        expect(readdirSync(dir)).toEqual([]);
        expect(removeLocks({ ...stack(), stack: "other" })).toBe(0);
    });
});

describe("a lock is taken away", () => {
    const isRemoved = () => {
        expect(removeDeadLocks(stack())).toEqual([]);
        expect(locks()).toEqual([]);
    };

    it("when the process is gone", () => {
        foreignLock(2 ** 22 + 1, hostname());
        isRemoved();
    });

    it("when the process is a zombie", async () => {
        // The shell becomes `sleep`, which never asks how its child ended.
        const parent = spawn("sh", ["-c", "sleep 0 & echo $!; exec sleep 600"], {
            stdio: ["ignore", "pipe", "ignore"],
        });
        onTestFinished(() => void parent.kill("SIGKILL"));
        const [line] = await once(parent.stdout, "data");
        const pid = Number(String(line));
        await expect.poll(() => isAtWork(pid, { time: new Date() }), { timeout: 10_000 }).toBe(false);
        expect(process.kill(pid, 0)).toBe(true);
        foreignLock(pid, hostname());
        isRemoved();
    });

    it("when the machine has started since, whoever has the pid now", () => {
        foreignLock(living().pid ?? 0, hostname(), "2020-01-01T00:00:00.123456789+02:00");
        isRemoved();
    });

    it("when a program that locks no stack has the pid", () => {
        foreignLock(living("sleep").pid ?? 0, hostname());
        isRemoved();
    });

    it("when the machine had another name at the time, which it was seen with", () => {
        machineNames(root, "this machine", "before.local");
        expect(machineNames(root, "this machine", "after.home")).toEqual(["after.home", "before.local"]);
        expect(machineNames(root, "another machine", "other")).toEqual(["other"]);
        expect(statSync(join(root, "machines.json")).mode & 0o777).toBe(0o600);
    });

    it.skipIf(!existsSync("/etc/machine-id") && process.platform === "linux")(
        "when the machine was called otherwise, and its process is gone",
        () => {
            lockStack(root, "demo", "dev")();
            const file = join(root, "machines.json");
            writeFileSync(file, readFileSync(file, "utf8").replace(hostname(), "before.local"));
            foreignLock(2 ** 22 + 1, "before.local");
            isRemoved();
            foreignLock(2 ** 22 + 1, "never.local");
            expect(removeDeadLocks(stack())).toHaveLength(1);
        },
    );

    it.each([
        ["and two runs find it at once: one of them gets the stack at most", 2],
        ["and four do", 4],
    ])("%s", async (_, count) => {
        foreignLock(2 ** 22 + 1, hostname());
        // Each holds on until it is told to end.
        const source = `
            const { lockStack } = require(${JSON.stringify(join(__dirname, "..", "..", "src", "lock.ts"))});
            process.stdout.write("ready\\n");
            process.stdin.once("data", () => {
                try { lockStack(${JSON.stringify(root)}, "demo", "dev"); console.log("held"); }
                catch (error) { console.log("refused"); }
            });`;
        const runs = Array.from({ length: count }, () => {
            const run = spawn(process.execPath, ["--import", "tsx", "--eval", source], {
                stdio: ["pipe", "pipe", "inherit"],
            });
            onTestFinished(() => void run.kill("SIGKILL"));
            return run;
        });
        await Promise.all(runs.map((run) => once(run.stdout, "data")));
        const answers = Promise.all(runs.map((run) => once(run.stdout, "data")));
        for (const run of runs) {
            run.stdin.write("go\n");
        }
        const held = (await answers).filter(([line]) => String(line).startsWith("held"));
        expect(held.length).toBeLessThanOrEqual(1);
        expect(locks()).toHaveLength(held.length);
    });
});

describe("whether a process is still at work", () => {
    it("is told by its start, where that was noted, whatever the clock says", () => {
        const pid = living().pid ?? 0;
        const start = processStart(pid);
        if (process.platform === "linux") {
            expect(isAtWork(pid, { time: new Date(0), start })).toBe(true);
            expect(isAtWork(pid, { time: new Date(), start: "another boot 1" })).toBe(false);
        } else {
            expect(start).toBeUndefined();
        }
    });

    it("is not told by its age: the clock may have been set since", () => {
        const booted = Date.now() - uptime() * 1000;
        const before = (seconds: number) => new Date(booted - seconds * 1000);
        expect(isAtWork(living().pid ?? 0, { time: before(50) })).toBe(true);
        expect(isAtWork(living().pid ?? 0, { time: before(70) })).toBe(false);
    });

    it("is taken for granted where the time makes no sense", () => {
        expect(isAtWork(living().pid ?? 0, { time: new Date("?") })).toBe(true);
        expect(isAtWork(living().pid ?? 0, { time: new Date("2200-01-01") })).toBe(true);
    });
});

it("machines.json that is broken is as none", () => {
    writeFileSync(join(root, "machines.json"), "{");
    expect(machineNames(root, "id", "name")).toEqual(["name"]);
    expect(JSON.parse(readFileSync(join(root, "machines.json"), "utf8"))).toEqual({ id: ["name"] });
});
