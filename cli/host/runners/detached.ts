import { spawn } from "node:child_process";
import * as fs from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { type HostHome, inHome, writePrivate } from "../../../host/home";
import { UserError } from "../../errors";
import { run } from "../../process";
import { hostEnvironment } from "../processes";
import { type Runner, supervisorArgv } from "./index";

/** A process, and when it started: its number alone may be another one's by now. */
const pidSchema = z.object({ pid: z.int().positive(), started: z.string(), boot: z.string() });
type StartedProcess = z.infer<typeof pidSchema>;

const patienceMilliseconds = 25_000;

/** A process of its own, where there is neither launchd nor systemd. It is gone after the machine has started anew. */
export function detached(home: HostHome): Runner {
    const file = inHome(home, "run", "supervisor.json");
    const running = async () => {
        const known = readPid(file);
        return known && (await startOf(known.pid)) === known.started ? known.pid : undefined;
    };
    return {
        kind: "detached",
        title: "process of its own, until this machine is started anew",
        files: [],
        isRunning: async () => (await running()) !== undefined,
        async start() {
            const pid = await running();
            if (pid) {
                process.kill(pid, "SIGHUP");
                return;
            }
            await endLeftOver(readPid(file));
            const [command = "", ...args] = supervisorArgv(home);
            const log = fs.openSync(inHome(home, "logs", "supervise.log"), "w", 0o600);
            const child = spawn(command, args, {
                cwd: home.dir,
                env: hostEnvironment(),
                // A process group of its own: Ctrl-C here is not meant for it.
                detached: true,
                stdio: ["ignore", log, log],
            });
            fs.closeSync(log);
            await new Promise((resolve, reject) => {
                child.once("spawn", resolve);
                child.once("error", reject);
            });
            child.unref();
            const started = child.pid && (await startOf(child.pid));
            if (!child.pid || !started) {
                throw new UserError(`The supervisor of the gateway ended at once; see ${home.dir}/logs.`);
            }
            writePrivate(
                file,
                JSON.stringify({
                    pid: child.pid,
                    started,
                    boot: await currentBoot(),
                } satisfies StartedProcess),
            );
        },
        async stop() {
            const known = readPid(file);
            const pid = await running();
            if (pid) {
                process.kill(pid, "SIGTERM");
                const deadline = Date.now() + patienceMilliseconds;
                while ((await running()) && Date.now() < deadline) {
                    await sleep(100);
                }
            }
            await endLeftOver(known);
            fs.rmSync(file, { force: true });
        },
    };
}

/**
 * Ends what a supervisor that was killed has left behind. Its group has its number, which is nobody else's as long; after
 * a start of the machine it may be.
 */
async function endLeftOver(known: StartedProcess | undefined): Promise<void> {
    if (known && known.boot === (await currentBoot()) && (await startOf(known.pid)) === undefined) {
        try {
            process.kill(-known.pid, "SIGKILL");
        } catch {
            // Nothing is left.
        }
    }
}

/** What differs with each start of the machine. */
async function currentBoot(): Promise<string> {
    return process.platform === "linux"
        ? readOrEmpty("/proc/sys/kernel/random/boot_id").trim()
        : (await run("sysctl", ["-n", "kern.bootsessionuuid"])).stdout.trim();
}

function readPid(file: string): StartedProcess | undefined {
    try {
        return pidSchema.parse(JSON.parse(fs.readFileSync(file, "utf8")));
    } catch {
        // None was started, or not to its end.
        return undefined;
    }
}

function readOrEmpty(file: string): string {
    try {
        return fs.readFileSync(file, "utf8");
    } catch {
        return "";
    }
}

/** When a process started, as the system tells it; undefined where there is none, or only its remains. */
async function startOf(pid: number): Promise<string | undefined> {
    if (process.platform === "linux") {
        const stat = readOrEmpty(`/proc/${pid}/stat`);
        // After the name, which may hold anything, in brackets (proc_pid_stat(5)).
        const [state, ...rest] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
        return stat === "" || state === "Z" ? undefined : rest[18];
    }
    const { exitCode, stdout } = await run("ps", ["-o", "lstart=,stat=", "-p", String(pid)]);
    return exitCode === 0 && !/Z\S*\s*$/.test(stdout) ? stdout.replace(/\s+\S+\s*$/, "").trim() : undefined;
}
