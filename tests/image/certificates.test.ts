import type Docker from "dockerode";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
    exec,
    makeNetwork,
    makeVolume,
    type RoleArgs,
    remove,
    removeAll,
    run,
    startHealthy,
    startRole,
    untilHealthy,
} from "./base-container";
import { baseImage, readImageJson } from "./base-image";

const image = baseImage();
const { toolsets } = readImageJson(image);

afterAll(removeAll);

const published = "/run/carbon/tls/cert.pem";

/** Starts a role with TLS on and waits until it is healthy. */
function start(role: string, args: Partial<RoleArgs> = {}): Promise<Docker.Container> {
    return startHealthy({ image, role, ...args, stack: { tls: true, ...args.stack } });
}

function certificateOf(container: Docker.Container): Promise<string> {
    return run(container, ["cat", published]);
}

function field(container: Docker.Container, ...options: string[]): Promise<string> {
    return run(container, ["openssl", "x509", "-in", published, "-noout", ...options]);
}

describe("a certificate", () => {
    let keys: string;
    let container: Docker.Container;

    beforeAll(async () => {
        keys = `${await makeVolume()}:/var/lib/carbon/keys`;
        container = await start("workspace", {
            binds: [keys],
            stack: { tlsNames: ["192.168.7.5", "my-mac.local", "fd00::7"] },
        });
    });

    it("is a leaf: no authority, for servers alone, on P-256", async () => {
        const text = await field(container, "-text");
        expect(text).toMatch(/X509v3 Basic Constraints: critical\s+CA:FALSE\n/);
        expect(text).toMatch(/X509v3 Key Usage: critical\s+Digital Signature\n/);
        expect(text).toMatch(/X509v3 Extended Key Usage: \s+TLS Web Server Authentication\n/);
        expect(text).toContain("X509v3 Subject Key Identifier");
        expect(text).toContain("NIST CURVE: P-256");
        expect(await field(container, "-subject")).toBe("subject=CN=workspace");
    });

    it("names the service, this machine, and the host as the document has it", async () => {
        const names = (await field(container, "-ext", "subjectAltName")).split("\n")[1]?.trim().split(", ");
        expect(names).toEqual([
            "DNS:workspace",
            "DNS:localhost",
            "IP Address:127.0.0.1",
            "IP Address:0:0:0:0:0:0:0:1",
            "IP Address:192.168.7.5",
            "DNS:my-mac.local",
            "IP Address:FD00:0:0:0:0:0:0:7",
        ]);
    });

    it("has its keys where root alone reads them, and a copy that carbon reads and does not own", async () => {
        const kept = "/var/lib/carbon/keys";
        expect(await run(container, ["stat", "--format=%U %a", kept, `${kept}/tls/workspace/key.pem`])).toBe(
            "root 700\nroot 600",
        );
        const copy = "/run/carbon/tls/key.pem";
        expect(await run(container, ["stat", "--format=%U %G %a", copy])).toBe("root carbon 440");
        expect((await exec(container, ["ls", kept], "carbon")).code).not.toBe(0);
    });

    it("is kept by a new container, and made anew when the names change", async () => {
        const made = await certificateOf(container);
        await remove(container);
        const same = await start("workspace", {
            binds: [keys],
            stack: { tlsNames: ["192.168.7.5", "my-mac.local", "fd00::7"] },
        });
        expect(await certificateOf(same)).toBe(made);
        await remove(same);
        container = await start("workspace", { binds: [keys], stack: { tlsNames: ["192.168.7.6"] } });
        expect(await certificateOf(container)).not.toBe(made);
        expect(await field(container, "-ext", "subjectAltName")).toContain("192.168.7.6");
    });

    it("is made anew where the one that is kept has less than 30 days left", async () => {
        const kept = "/var/lib/carbon/keys/tls/workspace";
        await run(container, [
            ...[
                "openssl",
                "req",
                "-x509",
                "-new",
                "-days",
                "29",
                "-key",
                `${kept}/key.pem`,
                "-subj",
                "/CN=workspace",
            ],
            ...["-out", `${kept}/cert.pem`],
        ]);
        await container.restart({ t: 20 });
        await untilHealthy(container, 120);
        expect(
            (await exec(container, ["openssl", "x509", "-in", published, "-noout", "-checkend", "2592000"]))
                .code,
        ).toBe(0);
        expect(await field(container, "-text")).toContain("CA:FALSE");
    });

    it("is refused a name that is none", async () => {
        const refused = await startRole({
            image,
            role: "workspace",
            stack: { tls: true, tlsNames: ["a", "b c"] },
        });
        expect((await refused.wait()).StatusCode).toBe(1);
    });

    describe("as what a client trusts", () => {
        /** A TLS server in the container, with the workspace's certificate, and another certificate of the same shape. */
        beforeAll(async () => {
            await run(container, [
                "bash",
                "-c",
                `. /usr/local/lib/carbon/common.sh
                mkdir /tmp/another && make_certificate /tmp/another workspace "$(certificate_names workspace)"
                setsid openssl s_server -accept 4433 -www -cert ${published} -key /run/carbon/tls/key.pem > /dev/null 2>&1 &
                until openssl s_client -connect 127.0.0.1:4433 < /dev/null > /dev/null 2>&1; do sleep 0.2; done`,
            ]);
        });

        const strict = `
import ssl, socket, sys
context = ssl.create_default_context(cafile=sys.argv[1])
assert context.verify_flags & ssl.VERIFY_X509_STRICT
context.wrap_socket(socket.create_connection((sys.argv[2], 4433)), server_hostname=sys.argv[2])`;
        const inNode = `
const { connect } = require("node:tls");
const [ca, host] = process.argv.slice(1);
const socket = connect({ port: 4433, host, ca: require("node:fs").readFileSync(ca) }, () => process.exit(0));
socket.on("error", (error) => { console.error(error.message); process.exit(1); });`;
        const inJava = `
import java.io.FileInputStream; import java.security.KeyStore; import java.security.cert.CertificateFactory;
import javax.net.ssl.*;
class Trusts {
    public static void main(String[] given) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        store.setCertificateEntry("a", CertificateFactory.getInstance("X.509").generateCertificate(new FileInputStream(given[0])));
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        SSLSocket socket = (SSLSocket) context.getSocketFactory().createSocket(given[1], 4433);
        SSLParameters parameters = socket.getSSLParameters();
        parameters.setEndpointIdentificationAlgorithm("HTTPS");
        socket.setSSLParameters(parameters);
        socket.startHandshake();
    }
}`;
        const clients = [
            { client: "Python's strict verification", needs: [], command: ["python3", "-c", strict] },
            {
                client: "curl",
                needs: [],
                command: [
                    "sh",
                    "-c",
                    'curl --silent --show-error --output /dev/null --cacert "$0" "https://$1:4433/"',
                ],
            },
            { client: "Node", needs: ["node"], command: ["node", "-e", inNode] },
            {
                client: "Java",
                needs: ["java"],
                command: [
                    "sh",
                    "-c",
                    'printf %s "$SOURCE" > /tmp/Trusts.java && java /tmp/Trusts.java "$0" "$1"',
                ],
            },
        ].filter(({ needs }) => needs.every((toolset) => toolsets.includes(toolset)));

        it.each(clients)("$client takes it, and no other", async ({ command }) => {
            for (const host of ["127.0.0.1", "localhost"]) {
                const taken = await exec(container, [...command, published, host], "root", [
                    `SOURCE=${inJava}`,
                ]);
                expect(taken).toMatchObject({ code: 0 });
            }
            const refused = await exec(
                container,
                [...command, "/tmp/another/cert.pem", "127.0.0.1"],
                "root",
                [`SOURCE=${inJava}`],
            );
            expect(refused.code).not.toBe(0);
        });
    });
});

describe.runIf(toolsets.includes("databases"))("clients in the workspace", () => {
    const roles = ["postgres", "redis", "mosquitto"] as const;
    const commands = {
        postgres: "psql -tAc 'SELECT 1'",
        redis: "redis-cli -h redis PING",
        mosquitto: "mosquitto_pub -h mosquitto -t a -m hello",
    };
    let network: Docker.Network;
    let keys: string;
    const services = new Map<string, Docker.Container>();
    let workspace: Docker.Container;

    beforeAll(async () => {
        network = await makeNetwork();
        keys = `${await makeVolume()}:/var/lib/carbon/keys`;
        await Promise.all(roles.map((role) => startService(role, keys)));
        workspace = await start("workspace", {
            binds: [keys],
            stack: { services: roles },
            host: { network, name: "workspace" },
        });
    });

    async function startService(role: string, keysOfIt: string): Promise<void> {
        const service = await start(role, { binds: [keysOfIt], host: { network, name: role } });
        services.set(role, service);
    }

    const asCarbon = (command: string) =>
        exec(workspace, ["bash", "-lc", command], "carbon", ["HOME=/home/carbon"]);

    it.each(roles)("reach %s, whose certificate they know", async (role) => {
        expect(await asCarbon(commands[role])).toMatchObject({ code: 0 });
        expect(await run(workspace, ["cat", `/run/carbon/tls/${role}.pem`])).toBe(
            await certificateOf(services.get(role) as Docker.Container),
        );
    });

    it.each(roles)(
        "are refused where another certificate answers for %s, and the check says so",
        async (role) => {
            await remove(services.get(role) as Docker.Container);
            await startService(role, `${await makeVolume()}:/var/lib/carbon/keys`);
            const { code, output } = await asCarbon(commands[role]);
            expect(code).not.toBe(0);
            // Mosquitto's clients have no better words for it.
            expect(output).toMatch(
                role === "mosquitto" ? /Protocol error|TLS error/ : /certificate verify failed/i,
            );
            const check = await exec(workspace, ["carbon-verify", "--json", `--only=${role}`]);
            expect(check.code).toBe(1);
            expect(JSON.parse(check.output).checks[0]).toMatchObject({
                status: "FAIL",
                observed: expect.stringMatching(/not its own|certificate verify failed/),
                hint: expect.stringContaining("docker restart"),
            });
        },
    );
});
