import { createHash, X509Certificate } from "node:crypto";
import pc from "picocolors";
import { everyService, workspace } from "../catalogue";
import { containerName } from "../catalogue/names";
import { run } from "./process";

/** SHA-256 fingerprints by what they are of: `ssh` (the host key), or the service whose certificate it is. */
export type Fingerprints = Record<string, string>;

/** Where a service has its certificate. */
export const certificateFile = "/run/carbon/tls/cert.pem";
/** Where the workspace has its public host key. */
export const hostKeyFile = "/var/lib/carbon/keys/ssh/ssh_host_ed25519_key.pub";
const longestFile = 100_000;

/**
 * Fingerprints of what the stack's containers show to those who connect: the workspace's certificate and SSH host
 * key, and with TLS on the other services' certificates. What does not run, or has no such file, is left out.
 */
export async function readFingerprints(stack: string): Promise<Fingerprints> {
    // With TLS off the others have none.
    const services = [workspace, ...everyService.filter(({ loopbackOnly }) => !loopbackOnly)];
    const found = await Promise.all([
        readFile(stack, workspace.name, hostKeyFile).then((text) => ["ssh", hostKeyFingerprint(text)]),
        ...[...new Set(services.map(({ name }) => name))].map(async (name) => [
            name,
            certificateFingerprint(await readFile(stack, name, certificateFile)),
        ]),
    ]);
    return Object.fromEntries(found.filter(([, fingerprint]) => fingerprint));
}

/** A file of a service's container; empty where it does not run or has no such file. */
export async function readFile(stack: string, service: string, file: string): Promise<string> {
    const args = ["exec", "--user", "root", containerName(stack, service), "cat", file];
    const { exitCode, stdout } = await run("docker", args, { maxBuffer: longestFile });
    return exitCode === 0 ? stdout : "";
}

/** As browsers and `openssl x509 -fingerprint -sha256` show it; undefined for what is no certificate. */
export function certificateFingerprint(pem: string): string | undefined {
    return parseCertificate(pem)?.fingerprint256;
}

/** Undefined for what is no certificate. */
export function parseCertificate(pem: string): X509Certificate | undefined {
    try {
        return new X509Certificate(pem);
    } catch {
        return undefined;
    }
}

/** As `ssh` shows it; undefined for what is no public key of OpenSSH's. */
export function hostKeyFingerprint(line: string): string | undefined {
    const [, key] = /^ssh-ed25519 ([A-Za-z0-9+/]+=*)(?:\s|$)/.exec(line) ?? [];
    return key
        ? `SHA256:${createHash("sha256").update(Buffer.from(key, "base64")).digest("base64").replace(/=+$/, "")}`
        : undefined;
}

/** A block for people; undefined where there is nothing to show. Not a table: a wrapped fingerprint helps nobody. */
export function fingerprintBlock(fingerprints: Fingerprints): string | undefined {
    const rows = Object.entries(fingerprints).map(([name, fingerprint]) => [
        name === "ssh" ? "SSH host key" : `certificate of ${name}`,
        fingerprint,
    ]);
    return rows.length === 0
        ? undefined
        : [
              pc.bold("Fingerprints (SHA-256), to compare with what a browser or a client shows"),
              ...rows.map(([what, fingerprint]) => `${what}: ${fingerprint}`),
          ].join("\n");
}
