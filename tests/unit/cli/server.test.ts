import { join } from "node:path";
import { execa } from "execa";
import { describe, expect, it } from "vitest";
import type { ContainerDetails } from "../../../cli/documents";
import { listener } from "../../../cli/preflight/ports";
import { printable } from "../../../cli/printable";
import { explainServer } from "../../../cli/server/explain";
import { forwardsOf } from "../../../cli/server/tunnel";
import { container, sandbox } from "./harness";

const server = { user: "ada", host: "far", port: 2200 };

describe("what ssh complains of", () => {
    it.each([
        [
            "@@@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @@@\nHost key verification failed.",
            /shows another host key .* type: ssh-keygen -R '\[far\]:2200', then: ssh -p 2200 ada@far true$/,
        ],
        [
            "REMOTE HOST IDENTIFICATION HAS CHANGED!\nHost key for [real.example.com]:2222 has changed and you have requested strict checking.",
            /type: ssh-keygen -R '\[real\.example\.com\]:2222', then: ssh -p 2200 ada@far true$/,
        ],
        [
            "REMOTE HOST IDENTIFICATION HAS CHANGED!\nHost key for $(id) has changed and you have requested strict checking.",
            /type: ssh-keygen -R '\[far\]:2200', then/,
        ],
        [
            "Host key verification failed.",
            /^The host key of ada@far is not known yet\. Type: ssh -p 2200 ada@far true/,
        ],
        ["ada@far: Permission denied (publickey).", /^ada@far refuses the login\./],
        ["bash: line 1: docker: command not found", /^There is no docker command on ada@far\./],
        [
            "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock",
            /^You may not use Docker on ada@far\./,
        ],
        [
            "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?",
            /^Docker does not run on ada@far\./,
        ],
        [
            "error during connect: command [ssh ...] has exited with exit status 255, stderr=ssh: connect to host far port 2200: Connection refused\n",
            "The server ada@far does not answer (ssh: connect to host far port 2200: Connection refused). Try: ssh -p 2200 ada@far docker version",
        ],
    ])("%j has a sentence", (said, sentence) => {
        expect(explainServer(said, server)).toMatch(sentence);
    });

    it("is printed without what a terminal would obey", () => {
        const sentence = explainServer("\x1b]0;title\x07\r\nssh: \x1b[31mno\r", { host: "far" });
        expect(sentence).toBe(
            `The server far does not answer (${printable("ssh: \x1b[31mno")}). Try: ssh far docker version`,
        );
    });
});

describe("the ports of a tunnel", () => {
    const appPort = { port: 7, published: 7, forward: 0 };
    const publishing = (bindings: [HostIp: string, HostPort: string][]) =>
        ({
            ...container("workspace"),
            NetworkSettings: {
                Ports: {
                    "1/tcp": bindings.map(([HostIp, HostPort]) => ({ HostIp, HostPort })),
                    "2/tcp": null,
                },
            },
        }) as unknown as ContainerDetails;

    it("lead from a loopback address of this machine to where the container has them", () => {
        const bindings: [string, string][] = [
            ["127.0.0.1", "8888"],
            ["0.0.0.0", "22"],
            ["::", "22"],
            ["192.168.1.5", "5432"],
            ["::1", "7"],
            // What is no address of a stack's port is the server's own idea.
            ["127.example.com", "8888"],
            ["127.0.0.1", "11434"],
            ["127.0.0.1", "x"],
        ];
        const settings = { ports: { jupyter: 8888, postgres: 5432, ssh: 22 }, appPorts: [appPort] };
        expect(forwardsOf([publishing(bindings)], settings)).toEqual([
            { address: "::1", port: 7, there: "::1" },
            { address: "127.0.0.1", port: 22, there: "127.0.0.1" },
            { address: "127.0.0.1", port: 5432, there: "192.168.1.5" },
            { address: "127.0.0.1", port: 8888, there: "127.0.0.1" },
        ]);
    });
});

describe("the ssh that keeps one connection for all", () => {
    it("has its socket in a home whose path has a blank", async () => {
        const ssh = join(__dirname, "../../../cli/server/bin/ssh");
        const env = { CARBON_SSH: "echo", CARBON_SSH_CONTROL: "/home/a b/.ssh/carbon-%C" };
        const { stdout } = await execa(ssh, ["far"], { env });
        expect(stdout).toContain('-o ControlPath="/home/a b/.ssh/carbon-%C" -o');
    });
});

describe("a socket that a server listens on", () => {
    it.each([
        ["   0: 0100007F:22B8 00000000:0000 0A 00000000:00000000", [{ address: "127.0.0.1", port: 8888 }]],
        ["   1: 00000000:0016 00000000:0000 0A 00000000:00000000", [{ address: "0.0.0.0", port: 22 }]],
        [`   2: ${"0".repeat(32)}:0016 ${"0".repeat(32)}:0000 0A 0`, [{ address: "::", port: 22 }]],
        ["   3: 0100007F:22B8 0100007F:9000 01 00000000:00000000", []],
        ["  sl  local_address rem_address   st", []],
    ])("is read of %j", (line, sockets) => {
        expect(listener(line)).toEqual(sockets);
    });
});

describe("a stack that lives here", () => {
    it.each(["tunnel", "sync"])("has nothing for `carbon %s` to do", async (command) => {
        const { exitCode, stderr } = await sandbox().carbon([command]);
        expect(exitCode).toBe(1);
        expect(stderr).toContain("does not live on a server that is reached over SSH");
    });
});
