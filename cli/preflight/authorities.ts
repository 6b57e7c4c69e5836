import { parseCertificate } from "../fingerprints";
import { type Finding, warning } from "./finding";

/** What Python 3.13 asks of an authority (X509_V_FLAG_X509_STRICT of OpenSSL) and other programs do not. */
const wanted = [
    { oid: [0x55, 0x1d, 0x13], critical: true, lack: "critical basic constraints" },
    { oid: [0x55, 0x1d, 0x0f], critical: false, lack: "key usage" },
    { oid: [0x55, 0x1d, 0x0e], critical: false, lack: "subject key identifier" },
];

/**
 * Whether programs in Python will take the extra authorities: curl, Node.js, Java and pip take some that they refuse.
 *
 * @param pem The text of carbon:extraCaCertificates.
 */
export function checkAuthorities(pem: string | undefined): Finding[] {
    const blocks = pem?.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
    return blocks.flatMap((block) => {
        const certificate = parseCertificate(block);
        if (!certificate) {
            return [
                warning(
                    "certificate authority",
                    "one of them cannot be read",
                    "Mend carbon:extraCaCertificates.",
                ),
            ];
        }
        const name = certificate.subject?.replaceAll("\n", ", ") || "without a name";
        const lacks = wanted.filter((one) => !has(certificate.raw, one)).map(({ lack }) => lack);
        return certificate.ca && lacks.length > 0
            ? [
                  warning(
                      "certificate authority",
                      `${name} has no ${lacks.join(", no ")}: Python 3.13 refuses what it signs ("certificate verify failed"), though curl, Node.js, Java and pip do not`,
                      "Ask who runs the network for an authority that follows RFC 5280, 4.2.1. Until then, a program of your own can do without: context.verify_flags &= ~ssl.VERIFY_X509_STRICT",
                  ),
              ]
            : [];
    });
}

/** Node.js shows none of these: whether the extension's identifier is there and, behind it, the mark "critical". */
function has(der: Buffer, { oid, critical }: { oid: number[]; critical: boolean }): boolean {
    const identifier = Buffer.from([0x06, oid.length, ...oid, ...(critical ? [0x01, 0x01, 0xff] : [])]);
    return der.includes(identifier);
}
