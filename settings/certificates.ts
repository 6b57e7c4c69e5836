import { X509Certificate } from "node:crypto";
import { rootCertificates } from "node:tls";
import { absolutePath, type Machine } from "./machine";
import { settingDefinitions } from "./schema";

/** Bytes; Linux allows 128 KiB for the environment variable in which the provider hands them to a build. */
const longest = 120 * 1024;

/** The certificates that the setting `extraCaCertificates` stands for, see {@link unusualCertificates}. */
export function readCertificates(setting: string, machine: Machine): string | undefined {
    const file = certificateFile(setting, machine);
    return unusualCertificates((file && machine.readFile(file)) ?? "");
}

/**
 * Why the file that the setting `extraCaCertificates` stands for is refused; undefined where it is not.
 *
 * @param read What {@link readCertificates} made of it.
 */
export function whyNotCertificates(
    setting: string,
    read: string | undefined,
    machine: Machine,
): string | undefined {
    const file = certificateFile(setting, machine);
    if (!file) {
        return undefined;
    }
    const advice = `Allowed: ${settingDefinitions.extraCaCertificates.rule.allowed}.`;
    const text = machine.readFile(file);
    if (text === undefined) {
        return `${file} cannot be read. ${advice}`;
    }
    if (!isCertificate(text)) {
        return `${file} does not start with a PEM certificate. ${advice}`;
    }
    const size = Buffer.byteLength(read ?? "");
    return size > longest
        ? `${file} has ${size} bytes of certificates besides the usual ones, and builds take ${longest}. Name a file with only those that your network needs.`
        : undefined;
}

function certificateFile(setting: string, machine: Machine): string | undefined {
    if (setting === "none") {
        return undefined;
    }
    if (setting === "auto") {
        return machine.env.NODE_EXTRA_CA_CERTS || machine.env.SSL_CERT_FILE || undefined;
    }
    return absolutePath(setting, machine);
}

function isCertificate(text: string): boolean {
    try {
        new X509Certificate(text);
        return true;
    } catch {
        return false;
    }
}

const block = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/**
 * Those certificates of a PEM text that are not among the usual ones, Mozilla's as Node ships them, each once.
 *
 * Machines on a network that intercepts TLS often have one file with everything. It is too long to be handed to a
 * build: the provider passes build secrets in environment variables, and Linux allows 128 KiB for one
 * (MAX_ARG_STRLEN). What the network added is a few KiB.
 *
 * @returns PEM text, or undefined where the usual certificates are all there is.
 */
export function unusualCertificates(pem: string): string | undefined {
    const usual = new Set(rootCertificates.map(body));
    const extra = new Map((pem.match(block) ?? []).map((text) => [body(text), text]));
    const kept = [...extra].filter(([key]) => !usual.has(key)).map(([, text]) => `${text}\n`);
    return kept.length > 0 ? kept.join("") : undefined;
}

/** The encoded certificate without its frame and line breaks, which files write in different ways. */
function body(pem: string): string {
    return pem.replace(/-----[^-]+-----|\s/g, "");
}
