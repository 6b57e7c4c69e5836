import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { gatewayEnvironment } from "../../../host/environments";
import { type HostHome, inHome } from "../../../host/home";
import { UserError } from "../../errors";
import { programOf } from "../processes";
import { detached } from "./detached";
import { hasLaunchd, launchd } from "./launchd";
import { hasSystemd, systemd } from "./systemd";

/** What starts supervise.py, and starts it again at the next login. */
export interface Runner {
    kind: "launchd" | "systemd" | "detached";
    /** For people. */
    title: string;
    /** Files outside the host's folder that it needs. */
    files: string[];
    /** Starts it, or has it read its list again. */
    start(): Promise<void>;
    /** Ends it with all that it runs. Its files go. */
    stop(): Promise<void>;
    isRunning(): Promise<boolean>;
}

/**
 * What runs it, or is to: what has started it before, else the machine's own way.
 *
 * @throws UserError where it was started by what cannot be reached from here, as over SSH or after su.
 */
export async function hostRunner(home: HostHome): Promise<Runner> {
    const managers = [
        { runner: launchd(home), isReachable: hasLaunchd },
        { runner: systemd(home), isReachable: hasSystemd },
    ];
    const used = managers.find(({ runner }) => runner.files.some((file) => fs.existsSync(file)));
    if (used) {
        if (!(await used.isReachable())) {
            throw new UserError(
                `The ${used.runner.title} runs it (${used.runner.files.join(", ")}), and cannot be reached from this session. Log in on the machine itself, as yourself and without su, and type the same command.`,
            );
        }
        return used.runner;
    }
    const alone = detached(home);
    if (await alone.isRunning()) {
        return alone;
    }
    for (const { runner, isReachable } of managers) {
        if (await isReachable()) {
            return runner;
        }
    }
    return alone;
}

/** What is run. */
export function supervisorArgv(home: HostHome): string[] {
    return [programOf(home, gatewayEnvironment), inHome(home, "lib", "supervise.py"), home.dir];
}

/** A name on this machine; another one for each host's folder that was chosen. */
export function runnerName(home: HostHome, separator: string): string {
    const suffix = home.chosen ? [createHash("sha256").update(home.dir).digest("hex").slice(0, 8)] : [];
    return ["carbon", "gpu", ...suffix].join(separator);
}
