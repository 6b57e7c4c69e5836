import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Settings } from "../settings/parse";

/** Name of the file with the certificates in a folder of {@link withScratch}. */
export const certificatesFile = "ca.pem";

/**
 * Makes a folder for what a build reads and writes beside its context, and removes it afterwards.
 *
 * @param use Is handed the folder, and the file in it with the certificates that the build trusts, where there are any.
 */
export async function withScratch<Result>(
    { caCertificates }: Pick<Settings, "caCertificates">,
    use: (folder: string, certificates?: string) => Promise<Result>,
): Promise<Result> {
    const folder = mkdtempSync(join(tmpdir(), "carbon-build-"));
    try {
        if (!caCertificates) {
            return await use(folder);
        }
        const certificates = join(folder, certificatesFile);
        writeFileSync(certificates, caCertificates);
        return await use(folder, certificates);
    } finally {
        rmSync(folder, { recursive: true });
    }
}
