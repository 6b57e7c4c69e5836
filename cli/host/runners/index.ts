import { createHash } from "node:crypto";
import { gatewayEnvironment } from "../../../host/environments";
import { type HostHome, inHome } from "../../../host/home";
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

/** The machine's own way. */
export async function hostRunner(home: HostHome): Promise<Runner> {
    if (await hasLaunchd()) {
        return launchd(home);
    }
    return (await hasSystemd()) ? systemd(home) : detached(home);
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
