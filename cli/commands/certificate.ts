import { writeFileSync } from "node:fs";
import { type Command, InvalidArgumentError } from "commander";
import pc from "picocolors";
import { catalogueName, everyService, workspace } from "../../catalogue";
import { action, type Handler } from "../action";
import { UserError } from "../errors";
import { certificateFile, parseCertificate, readFile } from "../fingerprints";
import { ownFile } from "../project";
import { quoted } from "../quoted";

const names = everyService.filter(({ loopbackOnly }) => !loopbackOnly).map(({ name }) => name);

/** `carbon certificate`. */
export function addCertificate(program: Command): void {
    program
        .command("certificate")
        .argument("[service]", `one of ${names.join(", ")} (default: workspace)`, parseService)
        .description("with TLS on: write down a service's certificate, and say how to trust it")
        .action(action(certificate));
}

function parseService(name: string): string {
    if (!names.includes(catalogueName(name))) {
        throw new InvalidArgumentError(`Allowed: ${names.join(", ")}.`);
    }
    return name;
}

const certificate: Handler<unknown> = async (session, _options, [service = workspace.name]) => {
    if (!session.settings().tls) {
        throw new UserError(
            `The stack ${session.stack} speaks no TLS: only this machine reaches its ports, and there is no certificate to trust. ` +
                "With another carbon:bindAddress it would.",
        );
    }
    const pem = (await readFile(session.stack, service, certificateFile)).match(block)?.[0] ?? "";
    const parsed = parseCertificate(pem);
    if (!parsed) {
        throw new UserError(
            `${service} does not run, or has no certificate. Type: ./carbon up${session.stackFlag()}`,
        );
    }
    const file = ownFile(session.project, `carbon-${session.stack}-${service}.pem`);
    writeFileSync(file, `${pem}\n`);
    const { fingerprint256: fingerprint, validTo } = parsed;
    const alternatives = (parsed.subjectAltName ?? "").split(", ").map((name) => name.replace(/^[^:]*:/, ""));
    session.output.result(
        [
            `${pc.bold("Certificate")} of ${service}: ${file}`,
            `for ${alternatives.join(", ")}, until ${validTo}`,
            `SHA-256 ${fingerprint}`,
            "",
            "To trust it, which means this one server and nothing else:",
            `${pc.bold("Mac")} (Safari, Chrome, curl)  security add-trusted-cert -r trustRoot -p ssl -k ~/Library/Keychains/login.keychain-db ${quoted(file)}`,
            `${pc.bold("Linux")} (curl, Python)        sudo install -m 644 ${quoted(file)} /usr/local/share/ca-certificates/carbon-${session.stack}-${service}.crt && sudo update-ca-certificates`,
            `${pc.bold("Linux")} (Chrome)              certutil -d sql:$HOME/.pki/nssdb -A -t P,, -n carbon-${session.stack}-${service} -i ${quoted(file)}`,
            `${pc.bold("Firefox")}                     open the address, Advanced, View Certificate: compare the SHA-256 above, then Accept the Risk`,
        ].join("\n"),
        { stack: session.stack, service, file, names: alternatives, validTo, fingerprint, pem },
    );
};

/** What else a file of the container's may hold is not passed on. */
const block = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/;
