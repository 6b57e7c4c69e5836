import { rootCertificates } from "node:tls";

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
