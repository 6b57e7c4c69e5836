import { existsSync } from "node:fs";
import { canInstall, install, succeeds } from "./packages";

/**
 * The programs that tests look through at a desktop and a shell: a browser, an SSH client that takes a password, an RDP
 * client and a screen for it; and for a stack on a server, rsync and sshd. What is missing is installed where that can be
 * done without a question; where not, this says what to type, and the tests that need it fail.
 */
export default async function provideClients(): Promise<void> {
    const missing = process.env.CARBON_TEST_LIST === "1" ? [] : missingClients();
    if (missing.length === 0) {
        return;
    }
    if (process.platform !== "darwin" && canInstall()) {
        await install(...missing.map((name) => (name === "freerdp" ? rdpPackage() : name)));
        return;
    }
    const how =
        process.platform === "darwin"
            ? "brew install sshpass freerdp && brew install --cask chromium xquartz"
            : "install these packages";
    console.warn(`Missing for the end-to-end tests: ${missing.join(", ")}. Do this: ${how}`);
}

/** The packages whose commands are missing. */
function missingClients(): string[] {
    const isMac = process.platform === "darwin";
    const browsers = ["chromium", "chromium-browser", "google-chrome"];
    const hasBrowser = browsers.some(has) || existsSync("/Applications/Google Chrome.app");
    // macOS's screen for X programs is XQuartz, which sets DISPLAY.
    const hasScreen = has("xvfb-run") || Boolean(process.env.DISPLAY);
    return [
        ...(hasBrowser ? [] : ["chromium"]),
        ...(has("sshpass") ? [] : ["sshpass"]),
        ...(has("ssh") ? [] : ["openssh-client"]),
        ...(has("rsync") ? [] : ["rsync"]),
        // For a server of the tests' own, which a Mac cannot have.
        ...(isMac || existsSync("/usr/sbin/sshd") ? [] : ["openssh-server"]),
        ...(["xfreerdp3", "xfreerdp"].some(has) ? [] : ["freerdp"]),
        ...(hasScreen ? [] : isMac ? ["xquartz"] : ["xvfb", "xauth"]),
    ];
}

function has(command: string): boolean {
    return succeeds("sh", "-c", `command -v ${command}`);
}

/** Distributions carry one of FreeRDP's versions or both; the older one brings less with it. */
function rdpPackage(): string {
    return succeeds("apt-cache", "show", "freerdp2-x11") ? "freerdp2-x11" : "freerdp3-x11";
}
