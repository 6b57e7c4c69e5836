// What a container is told of the place where it runs: its time zone, and the authorities of a network that intercepts
// TLS, which its programs trust one and all, whoever starts them and in which way.
import type Docker from "dockerode";
import { execaSync } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
    exec,
    hostPort,
    logs,
    removeAll,
    run,
    secrets,
    ssh,
    startHealthy,
    untilHealthy,
} from "./base-container";
import { baseImage, onlyListed, readImageJson } from "./base-image";
import { computeImage } from "./compute-image";

const image = computeImage();
const { toolsets } = readImageJson(image);

afterAll(removeAll);

/** An authority and a server's certificate that it has signed, as PEM. */
interface Authority {
    authority: string;
    server: string;
}

/** Made by the image's OpenSSL. */
function makeAuthority(): Authority {
    const script = `cd /tmp
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj "/CN=The network's own" \\
    -addext 'keyUsage=critical,keyCertSign,cRLSign' 2> /dev/null
openssl req -newkey rsa:2048 -nodes -keyout key.pem -out request -subj /CN=localhost 2> /dev/null
openssl x509 -req -in request -CA ca.pem -CAkey ca.key -days 2 -extfile <(printf '%s\\n' \\
    'subjectAltName=DNS:localhost' 'extendedKeyUsage=serverAuth' 'authorityKeyIdentifier=keyid') -out cert.pem 2> /dev/null
cat ca.pem; echo ----; cat key.pem cert.pem`;
    const run = ["run", "--rm", "--entrypoint=bash", baseImage(), "-c", script];
    const [authority = "", server = ""] = execaSync("docker", run).stdout.split("\n----\n");
    return { authority, server };
}

/** A web server that notes what it is asked for: a client whose path is there has taken the certificate. */
const server = `
import http.server, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print(self.path, flush=True)
        self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
    do_HEAD = do_POST = do_GET
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 4443), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/run/carbon/test-server.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()`;

const java = `
import java.net.URI; import java.net.http.*;
class Asks { public static void main(String[] given) throws Exception {
    HttpClient.newHttpClient().send(HttpRequest.newBuilder(URI.create(given[0])).build(), HttpResponse.BodyHandlers.ofString());
} }`;
const go = `
package main
import ("net/http"; "os")
func main() { _, err := http.Get(os.Args[1]); if err != nil { panic(err) } }`;

/** Shell commands that ask for $1, and the toolsets that bring their programs. */
const clients: Record<string, { needs?: string[]; command: string }> = {
    curl: { command: 'curl --silent "$1"' },
    git: { command: 'git ls-remote "$1"' },
    "apt-get": {
        command:
            'mkdir -p /tmp/apt$UID/lists/partial; echo "deb [trusted=yes] $1/ ./" > /tmp/a.list; apt-get update -o Dir::Etc::sourcelist=/tmp/a.list -o Dir::Etc::sourceparts=- -o Dir::State=/tmp/apt$UID -o Dir::Cache=/tmp/apt$UID -o APT::Sandbox::User=',
    },
    "Debian's Python": {
        command: 'python3 -c "import sys, urllib.request; urllib.request.urlopen(sys.argv[1])" "$1"',
    },
    "requests, in the image's Python": {
        command: '/opt/carbon/venv/bin/python -c "import sys, requests; requests.get(sys.argv[1])" "$1"',
    },
    pip: { command: '/opt/carbon/venv/bin/pip download --no-deps --dest /tmp --index-url "$1" nothing' },
    uv: { needs: ["python"], command: 'uv pip install --target /tmp/uv --index-url "$1" nothing' },
    npm: { needs: ["node"], command: 'npm view --fetch-retries=0 --registry "$1" nothing' },
    Node: { needs: ["node"], command: 'node -e "fetch(process.argv[1])" "$1"' },
    Deno: { needs: ["notebooks"], command: 'deno eval "await fetch(Deno.args[0])" "$1"' },
    Java: { needs: ["java"], command: 'printf %s "$JAVA" > /tmp/Asks.java; java /tmp/Asks.java "$1"' },
    Go: {
        needs: ["go"],
        // Compiled once, whoever runs it: its network library alone takes half a minute.
        command:
            '[ -x /tmp/asks ] || { printf %s "$GO" > /tmp/asks.go && go build -o /tmp/asks /tmp/asks.go; }; /tmp/asks "$1"',
    },
    R: { needs: ["r"], command: 'Rscript -e "readLines(url(commandArgs(TRUE)))" "$1"' },
    aws: {
        needs: ["cloud"],
        command: 'aws --no-sign-request --endpoint-url "$1" s3api list-buckets --cli-connect-timeout 5',
    },
    Chromium: { needs: ["desktop"], command: 'chromium --headless --dump-dom "$1"' },
    Firefox: {
        needs: ["desktop"],
        command: 'timeout 40 firefox-esr --headless --profile "$(mktemp -d)" --screenshot /tmp/f.png "$1"',
    },
};

const offered = Object.entries(clients).filter(([, { needs = [] }]) =>
    needs.every((toolset) => toolsets.includes(toolset)),
);

describe("a network's own authority", () => {
    let container: Docker.Container;

    beforeAll(async () => {
        if (onlyListed) {
            return;
        }
        const { authority, server: identity } = makeAuthority();
        container = await startHealthy({
            image,
            role: "workspace",
            ports: [2222],
            env: { TZ: "US/Eastern" },
            // Twice: what intercepts is often in the list a second time.
            files: {
                "/run/carbon/ca.pem": `${authority}\n${authority}`,
                "/run/carbon/test-server.pem": identity,
            },
        });
        await run(container, [
            "bash",
            "-c",
            `setsid python3 -c "$0" > /tmp/seen 2>&1 & until curl --silent https://localhost:4443/started; do sleep 0.2; done`,
            server,
        ]);
    });

    async function seen(path: string): Promise<boolean> {
        return (await run(container, ["cat", "/tmp/seen"])).includes(path);
    }

    it("is not trusted without being handed over", async () => {
        const other = await startHealthy({ image, role: "workspace" });
        expect(await run(other, ["ls", "/usr/local/share/ca-certificates"])).toBe("");
        expect((await exec(other, ["printenv", "SSL_CERT_FILE"])).code).toBe(1);
    });

    it.each(offered)(
        "is trusted by %s, started by the user, with sudo, and by root",
        async (name, client) => {
            const path = encodeURIComponent(name.replaceAll(" ", "-").replaceAll("'", ""));
            const ways: [way: string, command: string[], user: string][] = [
                ["user", ["bash", "--login", "-c", client.command], "carbon"],
                [
                    "sudo",
                    [
                        "bash",
                        "--login",
                        "-c",
                        `export PASSWORD COMMAND; echo "${secrets.ssh}" | sudo -S -p '' --preserve-env=JAVA,GO bash -c "$COMMAND" - "$1"`,
                    ],
                    "carbon",
                ],
                ["root", ["bash", "--login", "-c", client.command], "root"],
            ];
            // Browsers do not run as root, and a home folder of root's is nothing that users have.
            const used = ["Chromium", "Firefox"].includes(name) ? ways.slice(0, 1) : ways;
            for (const [way, command, user] of used) {
                const address = `https://localhost:4443/${path}-${way}`;
                const env = [`JAVA=${java}`, `GO=${go}`, `COMMAND=${client.command}`];
                const { output } = await exec(container, [...command, "-", address], user, env);
                expect(await seen(`/${path}-${way}`), `${way}: ${output}`).toBe(true);
            }
        },
    );

    it("is trusted by what comes in over SSH", async () => {
        const port = await hostPort(container, 2222);
        await ssh(
            port,
            "carbon",
            secrets.ssh,
            "/opt/carbon/venv/bin/python -c \"import requests; requests.get('https://localhost:4443/ssh')\"",
        );
        expect(await seen("/ssh")).toBe(true);
    });

    it("survives a restart, and says nothing in the log", async () => {
        await container.restart({ t: 20 });
        await untilHealthy(container, 120);
        expect(await run(container, ["bash", "-c", "ls /usr/local/share/ca-certificates/carbon"])).toBe(
            "1.crt",
        );
        expect(await logs(container)).not.toMatch(/certificate|keystore/i);
    });

    it.each(["spark-master", "llm"].filter((role) => toolsets.includes(role === "llm" ? "llm" : "spark")))(
        "is trusted in %s, too",
        async (role) => {
            const { authority } = makeAuthority();
            const worker = await startHealthy({ image, role, files: { "/run/carbon/ca.pem": authority } });
            expect(await run(worker, ["printenv", "-0", "PATH"])).not.toBe("");
            const trusted = await exec(worker, [
                "openssl",
                "verify",
                "/usr/local/share/ca-certificates/carbon/1.crt",
            ]);
            expect(trusted.output).toContain("OK");
        },
    );

    describe("the time zone", () => {
        const asked: Record<string, { needs?: string; command: string[] }> = {
            date: { command: ["date", "-d", "@1750000000", "+%Z"] },
            Python: {
                command: [
                    "python3",
                    "-c",
                    "import time; print(time.strftime('%Z', time.localtime(1750000000)))",
                ],
            },
            R: { needs: "r", command: ["Rscript", "-e", "cat(format(as.POSIXct(1750000000), '%Z'))"] },
            Node: {
                needs: "node",
                command: [
                    "node",
                    "-p",
                    "new Date(1750000000000).toLocaleTimeString('en-US', {timeZoneName: 'short'}).slice(-3)",
                ],
            },
        };

        it.each(Object.entries(asked).filter(([, { needs }]) => !needs || toolsets.includes(needs)))(
            "is the one given, an old name, too: %s",
            async (_, { command }) => {
                expect(await run(container, command)).toBe("EDT");
                expect(await run(container, ["env", "-u", "TZ", ...command])).toBe("EDT");
            },
        );

        it("is UTC where the one given is none, and the log says so", async () => {
            const other = await startHealthy({ image, role: "workspace", env: { TZ: "Mars/Olympus" } });
            expect(await logs(other)).toContain(
                "carbon: the time zone Mars/Olympus is not in the tz database; it is UTC here.",
            );
            expect(await run(other, ["readlink", "/etc/localtime"])).toBe("/usr/share/zoneinfo/Etc/UTC");
        });
    });
});
