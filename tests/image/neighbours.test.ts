import { execFileSync, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";

const script = join(__dirname, "../../host/docker-neighbours.sh");
const image = "docker.io/library/debian:trixie-slim";
const id = randomBytes(3).toString("hex");
const name = `carbon-t-neighbours-${id}`;
/** A network segment of its own (TEST-NET-2, RFC 5737) between this machine and its neighbour. */
const [here, neighbour] = ["198.51.100.1", "198.51.100.2"];
const [outside, inside] = [`cn-${id}`, `cn-${id}-in`];
const served = "a published port\n";
const server = `use IO::Socket::INET;
$socket = IO::Socket::INET->new(LocalPort => 8000, Listen => 9, ReuseAddr => 1) or die;
while ($client = $socket->accept) { print $client "a published port\\n"; close $client }`;

const run = (program: string, ...args: string[]) =>
    execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();
const docker = (...args: string[]) => run("docker", ...args);
const inspect = (format: string) => docker("inspect", "--format", format, name);
const status = (program: string, ...args: string[]) => spawnSync(program, args, { encoding: "utf8" }).status;

/** What a TCP port says first, as a client sees it; empty where it does not answer within three seconds. */
const greeting = (address: string, port: number | string, ...through: string[]) => {
    const client = ["timeout", "3", "bash", "-c", `cat </dev/tcp/${address}/${port}`];
    const [program = "", ...args] = [...through, ...client];
    return spawnSync(program, args, { encoding: "utf8" }).stdout;
};
/** A container has started before its program listens. */
const listening = (address: string, port: number | string) =>
    vi.waitFor(() => expect(greeting(address, port)).toBe(served), { timeout: 30_000, interval: 200 });
const fromNeighbour = (address: string, port: number | string) =>
    greeting(address, port, "ip", "netns", "exec", name);
const fromContainer = (container: string, address: string, port: number | string) =>
    greeting(address, port, "docker", "exec", container);

/** The script's rules in the chain, as arguments for `iptables`. */
const rules = () =>
    run("iptables", "--list-rules", "DOCKER-USER")
        .split("\n")
        .filter((rule) => /--ctorigdst 127|! --ctstate .*DNAT/.test(rule) && rule.endsWith("-j DROP"))
        .map((rule) => rule.split(" ").slice(1));
const removeRules = () => {
    for (const rule of rules()) {
        run("iptables", "--wait", "--delete", ...rule);
    }
};

const isOldEngine = () => Number.parseInt(docker("version", "--format", "{{.Server.Version}}"), 10) < 28;
/** It changes the machine's network: as root, on Linux, with the engine's rules here and not in a virtual machine. */
const canTry =
    process.platform === "linux" &&
    process.getuid?.() === 0 &&
    ["ip", "iptables", "docker"].every((program) => status("sh", "-c", `command -v ${program}`) === 0) &&
    status("iptables", "--wait", "--list", "DOCKER-USER") === 0 &&
    isOldEngine();

describe.skipIf(!canTry)("a neighbour on the network, of an engine older than 28", () => {
    let address: string;
    let port: string;
    let hadRules: boolean;

    beforeAll(async () => {
        hadRules = status(script, "check") === 0;
        docker("network", "create", name);
        const options = ["--detach", "--rm", "--init", "--network", name];
        docker(
            "run",
            ...options,
            "--name",
            name,
            "--publish",
            "127.0.0.1::8000",
            image,
            "perl",
            "-e",
            server,
        );
        docker("run", ...options, "--name", `${name}-2`, image, "sleep", "infinity");
        address = inspect("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}");
        port = inspect('{{(index (index .NetworkSettings.Ports "8000/tcp") 0).HostPort}}');
        await listening("127.0.0.1", port);
        run("ip", "netns", "add", name);
        run("ip", "link", "add", outside, "type", "veth", "peer", "name", inside);
        run("ip", "link", "set", inside, "netns", name);
        run("ip", "address", "add", `${here}/30`, "dev", outside);
        run("ip", "link", "set", outside, "up");
        const there = (...args: string[]) => run("ip", "netns", "exec", name, ...args);
        there("ip", "address", "add", `${neighbour}/30`, "dev", inside);
        there("ip", "link", "set", inside, "up");
        there("ip", "route", "add", `${address}/32`, "via", here);
        // The neighbour's own loopback is off: what it sends to 127.0.0.1 goes out by the wire.
        there("sh", "-c", "echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet");
        there("ip", "route", "add", "127.0.0.1/32", "via", here, "src", neighbour);
    });

    afterAll(() => {
        spawnSync("docker", ["rm", "--force", name, `${name}-2`]);
        spawnSync("docker", ["network", "rm", name]);
        spawnSync("ip", ["link", "delete", outside]);
        spawnSync("ip", ["netns", "delete", name]);
        if (hadRules) {
            run(script, "apply");
        } else {
            removeRules();
        }
    });

    it("reaches a port that is published on 127.0.0.1, without the rules", () => {
        removeRules();
        expect(status(script, "check")).toBe(1);
        expect(fromNeighbour(address, 8000)).toBe(served);
        expect(fromNeighbour("127.0.0.1", port)).toBe(served);
    });

    it("reaches nothing with them, and what is this machine's own business goes on", () => {
        run(script, "apply");
        expect(status(script, "check")).toBe(0);
        expect(fromNeighbour(address, 8000)).toBe("");
        expect(fromNeighbour("127.0.0.1", port)).toBe("");
        expect(greeting("127.0.0.1", port)).toBe(served);
        expect(greeting(address, 8000)).toBe(served);
        expect(fromContainer(`${name}-2`, name, 8000)).toBe(served);
    });

    it("reaches what is published for it", async () => {
        run(script, "apply");
        const open = `${name}-open`;
        const options = ["--detach", "--rm", "--init", "--network", name, "--name", open];
        docker("run", ...options, "--publish", `${here}::8000`, image, "perl", "-e", server);
        try {
            const published = docker("port", open, "8000/tcp").split(":").at(-1) ?? "";
            await listening(here, published);
            expect(fromNeighbour(here, published)).toBe(served);
        } finally {
            docker("rm", "--force", open);
        }
    });

    it("is answered where a container asks", () => {
        run(script, "apply");
        const listener = `use IO::Socket::INET; $| = 1;
            $socket = IO::Socket::INET->new(LocalAddr => "${neighbour}", LocalPort => 8000, Listen => 9) or die;
            if (!fork) { $client = $socket->accept; print $client "out there\\n"; exit }`;
        run("ip", "netns", "exec", name, "sh", "-c", `perl -e '${listener}' >/dev/null 2>&1`);
        expect(fromContainer(name, neighbour, 8000)).toBe("out there\n");
    });

    it("is kept out by one rule of each kind, however often they are added", () => {
        removeRules();
        run(script, "apply");
        const once = rules();
        run(script, "apply");
        expect(rules()).toEqual(once);
        expect(once).toHaveLength(3);
    });
});
