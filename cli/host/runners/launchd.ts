import * as fs from "node:fs";
import { homedir } from "node:os";
import * as path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type HostHome, inHome, readIfThere, writePrivate } from "../../../host/home";
import { UserError } from "../../errors";
import { run } from "../../process";
import { type Runner, runnerName, supervisorArgv } from "./index";

/** More than the agent's own time to end, see ExitTimeOut. */
const patienceMilliseconds = 35_000;

/** Where launchd keeps what a user who is logged in runs. Over SSH alone there is none. */
const domain = () => `gui/${process.getuid?.()}`;

/** Whether a user's agents can be run here. */
export async function hasLaunchd(): Promise<boolean> {
    return (
        process.platform === "darwin" &&
        (await run("launchctl", ["print", domain()], { timeout: 10_000 })).exitCode === 0
    );
}

/** A launchd agent of the user's. */
export function launchd(home: HostHome): Runner {
    const label = runnerName(home, ".");
    const file = path.join(homedir(), "Library", "LaunchAgents", `${label}.plist`);
    const service = `${domain()}/${label}`;
    const isRunning = async () => (await run("launchctl", ["print", service])).exitCode === 0;
    // It returns before the agent has ended, and until then none can be started in its place.
    const bootOut = async () => {
        await run("launchctl", ["bootout", service]);
        const end = Date.now() + patienceMilliseconds;
        while ((await isRunning()) && Date.now() < end) {
            await sleep(200);
        }
    };
    return {
        kind: "launchd",
        title: `launchd agent ${label}`,
        files: [file],
        isRunning,
        async start() {
            fs.mkdirSync(path.dirname(file), { recursive: true });
            const wanted = agentPlist(label, home);
            if (readIfThere(file) === wanted && (await isRunning())) {
                await launchctl("kill", "SIGHUP", service);
                return;
            }
            await bootOut();
            writePrivate(file, wanted);
            await launchctl("bootstrap", domain(), file);
        },
        async stop() {
            await bootOut();
            fs.rmSync(file, { force: true });
        },
    };
}

async function launchctl(...args: string[]): Promise<void> {
    const { exitCode, reason } = await run("launchctl", args);
    if (exitCode !== 0) {
        throw new UserError(`launchctl ${args.join(" ")} failed: ${reason}`);
    }
}

/**
 * The agent's property list, see launchd.plist(5). The agent starts at login and again when it ends; without ProcessType
 * macOS would slow the kernels down.
 */
export function agentPlist(label: string, home: HostHome): string {
    const output = inHome(home, "logs", "supervise.log");
    return plist({
        Label: label,
        ProgramArguments: supervisorArgv(home),
        WorkingDirectory: home.dir,
        RunAtLoad: true,
        KeepAlive: true,
        ProcessType: "Interactive",
        ThrottleInterval: 10,
        ExitTimeOut: 30,
        Umask: 0o077,
        StandardOutPath: output,
        StandardErrorPath: output,
    });
}

type PlistValue = string | number | boolean | string[];

function plist(values: Record<string, PlistValue>): string {
    return [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">',
        '<plist version="1.0">',
        "<dict>",
        ...Object.entries(values).flatMap(([key, value]) => [
            `    <key>${key}</key>`,
            `    ${plistValue(value)}`,
        ]),
        "</dict>",
        "</plist>",
        "",
    ].join("\n");
}

function plistValue(value: PlistValue): string {
    if (Array.isArray(value)) {
        return `<array>${value.map(plistValue).join("")}</array>`;
    }
    if (typeof value === "boolean") {
        return `<${value}/>`;
    }
    return typeof value === "number" ? `<integer>${value}</integer>` : `<string>${escapeXml(value)}</string>`;
}

function escapeXml(text: string): string {
    return text.replace(/[&<>]/g, (character) => `&#${character.charCodeAt(0)};`);
}
