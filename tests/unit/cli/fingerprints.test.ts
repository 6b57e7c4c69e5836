import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { certificateFingerprint, hostKeyFingerprint } from "../../../cli/fingerprints";
import { healthyDocker, obedientPulumi, portOffset, type Rule, sandbox } from "./harness";

const certificate = readFileSync(join(__dirname, "..", "program", "ca.pem"), "utf8");
const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKr/D9ENeiH4SyKes8RAZuswu56tYzW4/axgKTEwZyO9 root@x\n";

// As openssl x509 -fingerprint -sha256 and ssh-keygen -l show them.
const certificatePrint =
    "58:10:8C:7E:9D:BC:0C:1E:8B:DA:83:66:25:C8:3B:00:81:34:BB:42:B3:42:F5:49:C3:F6:13:4F:B6:52:B0:97";
const hostKeyPrint = "SHA256:XhevXbL2pnWKjejk7dMW41YOXf7dvIri42eptxQ5RLU";

const hostKeyRule: Rule = {
    match: "^exec --user root carbon-dev-workspace cat /var/lib/carbon/keys/ssh/ssh_host_ed25519_key.pub$",
    stdout: hostKey,
};
const certificateRule = (service: string, stdout = certificate): Rule => ({
    match: `^exec --user root carbon-dev-${service} cat /run/carbon/tls/cert.pem$`,
    stdout,
});
const nothingElse: Rule = { match: "^exec ", code: 1, stderr: "No such file or directory" };

describe("fingerprints", () => {
    it("are those that OpenSSL and OpenSSH show", () => {
        expect(certificateFingerprint(certificate)).toBe(certificatePrint);
        expect(hostKeyFingerprint(hostKey)).toBe(hostKeyPrint);
    });

    it.each([
        "",
        "\x1b[2J",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "ssh-rsa AAAA",
        "ssh-ed25519 \x1b[2J",
    ])("are not made of %j", (text) => {
        expect(certificateFingerprint(text)).toBeUndefined();
        expect(hostKeyFingerprint(text)).toBeUndefined();
    });

    it("stand below the logins, and beside them with --json", async () => {
        const box = sandbox();
        box.install("pulumi", obedientPulumi);
        box.install("docker", [hostKeyRule, certificateRule("workspace"), nothingElse, ...healthyDocker]);
        const { stdout } = await box.carbon(["credentials"]);
        expect(stdout).toContain(
            [
                "",
                "Fingerprints (SHA-256), to compare with what a browser or a client shows",
                `SSH host key: ${hostKeyPrint}`,
                `certificate of workspace: ${certificatePrint}`,
            ].join("\n"),
        );
        expect(JSON.parse((await box.carbon(["credentials", "--json"])).stdout)).toMatchObject({
            ssh: { user: "carbon" },
            fingerprints: { ssh: hostKeyPrint, workspace: certificatePrint },
        });
    });

    it("are left out where nothing runs, or the files are of another kind", async () => {
        const box = sandbox();
        box.install("pulumi", obedientPulumi);
        box.install("docker", [certificateRule("workspace", "\x1b[2J"), nothingElse, ...healthyDocker]);
        expect((await box.carbon(["credentials"])).stdout).not.toContain("ingerprint");
    });

    it("end an up that opens the stack to other machines, each TLS service with its own", async () => {
        const box = sandbox();
        box.configure({ bindAddress: "0.0.0.0", portOffset, toolsets: ["databases"], compute: false });
        box.install("pulumi", obedientPulumi);
        box.install("docker", [
            hostKeyRule,
            certificateRule("workspace"),
            certificateRule("redis"),
            nothingElse,
            ...healthyDocker,
        ]);
        const { exitCode, stdout } = await box.carbon(["up", "--yes"]);
        expect(exitCode).toBe(0);
        expect(stdout).toContain(
            `certificate of workspace: ${certificatePrint}\ncertificate of redis: ${certificatePrint}\n`,
        );
    });

    it("are not asked for by an up that stays on this machine", async () => {
        const box = sandbox();
        box.install("pulumi", obedientPulumi);
        box.install("docker", healthyDocker);
        expect((await box.carbon(["up", "--yes"])).stdout).not.toContain("ingerprint");
        expect(box.commands("docker").filter((command) => command.startsWith("exec "))).toEqual([]);
    });
});
