import { existsSync, rmSync, writeFileSync } from "node:fs";
import { workspace } from "../catalogue";
import { hostKeyFile, readFile } from "./fingerprints";
import { ownFile } from "./project";
import type { Session } from "./session";

/** Name under which SSH knows the stack's workspace, whatever its address. */
export function sshAlias(stack: string): string {
    return `carbon-${stack}`;
}

/** The file in which `carbon ssh-config` writes down the workspace's host key, for ssh to compare. */
export function knownHostsFile({ project, stack }: Session): string {
    return ownFile(project, `known_hosts-${stack}`);
}

/**
 * Writes down the host key, as the workspace's container has it.
 *
 * @returns false where it has none, or does not run.
 */
export async function writeKnownHosts(session: Session): Promise<boolean> {
    const line = await readFile(session.stack, workspace.name, hostKeyFile);
    const [key] = /^ssh-ed25519 [A-Za-z0-9+/]+=*/.exec(line) ?? [];
    if (!key) {
        return false;
    }
    writeFileSync(knownHostsFile(session), `${sshAlias(session.stack)} ${key}\n`, { mode: 0o600 });
    return true;
}

/** The same where it was written down before: with new volumes there is a new key. */
export async function renewKnownHosts(session: Session): Promise<void> {
    if (existsSync(knownHostsFile(session))) {
        await writeKnownHosts(session);
    }
}

/** Removes it, where there is one. */
export function forgetKnownHosts(session: Session): void {
    rmSync(knownHostsFile(session), { force: true });
}
