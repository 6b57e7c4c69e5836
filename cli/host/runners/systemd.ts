import * as fs from "node:fs";
import { homedir } from "node:os";
import * as path from "node:path";
import { type HostHome, readIfThere, writePrivate } from "../../../host/home";
import { UserError } from "../../errors";
import { run } from "../../process";
import { type Runner, runnerName, supervisorArgv } from "./index";

/** Whether the user has a systemd of their own. */
export async function hasSystemd(): Promise<boolean> {
    const { exitCode } = await run("systemctl", ["--user", "show-environment"], { timeout: 10_000 });
    return process.platform === "linux" && exitCode === 0;
}

/** A unit of the user's systemd. */
export function systemd(home: HostHome): Runner {
    const unit = `${runnerName(home, "-")}.service`;
    const config = process.env.XDG_CONFIG_HOME || path.join(homedir(), ".config");
    const file = path.join(config, "systemd", "user", unit);
    const isRunning = async () =>
        (await run("systemctl", ["--user", "is-active", "--quiet", unit])).exitCode === 0;
    return {
        kind: "systemd",
        title: `systemd unit ${unit}`,
        files: [file],
        isRunning,
        async start() {
            fs.mkdirSync(path.dirname(file), { recursive: true });
            const wanted = unitFile(home);
            if (readIfThere(file) === wanted && (await isRunning())) {
                await systemctl("reload", unit);
                return;
            }
            writePrivate(file, wanted);
            await systemctl("daemon-reload");
            await systemctl("enable", unit);
            await systemctl("restart", unit);
        },
        async stop() {
            if (fs.existsSync(file)) {
                await systemctl("disable", "--now", unit);
                fs.rmSync(file);
                await systemctl("daemon-reload");
            }
        },
    };
}

async function systemctl(...args: string[]): Promise<void> {
    const { exitCode, reason } = await run("systemctl", ["--user", ...args]);
    if (exitCode !== 0) {
        throw new UserError(`systemctl --user ${args.join(" ")} failed: ${reason}`);
    }
}

/** The unit, see systemd.service(5). The supervisor ends what it runs by itself; what is left then is killed. */
export function unitFile(home: HostHome): string {
    return [
        "[Unit]",
        "Description=Carbon: kernels on this machine for the workspace in the container",
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        `ExecStart=${supervisorArgv(home).map(escapeArgument).join(" ")}`,
        "ExecReload=/bin/kill -HUP $MAINPID",
        "Restart=always",
        "RestartSec=5",
        "KillMode=mixed",
        "TimeoutStopSec=30",
        "UMask=0077",
        "",
        "[Install]",
        "WantedBy=default.target",
        "",
    ].join("\n");
}

/** As systemd's own quoting, specifiers and variables have it. */
function escapeArgument(text: string): string {
    const escaped = text.replace(/["\\]/g, "\\$&").replaceAll("%", "%%").replaceAll("$", "$$$$");
    return `"${escaped}"`;
}
