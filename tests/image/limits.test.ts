import type Docker from "dockerode";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { boundedLog, everyService, type ServiceSpec } from "../../catalogue";
import {
    docker,
    exec,
    hostPort,
    makeVolume,
    removeAll,
    run,
    secrets,
    ssh,
    startRole,
    untilHealthy,
} from "./base-container";
import { baseImage, readImageJson } from "./base-image";

const image = baseImage();
const { toolsets } = readImageJson(image);

/** The roles of this image, as the catalogue has them. */
const roles = everyService.filter(
    ({ name, image, toolset = "" }) =>
        name === "workspace" || (image === "base" && toolsets.includes(toolset)),
);

afterAll(removeAll);

function start({ name, volumes }: ServiceSpec, binds: string[]): Promise<Docker.Container> {
    return startRole({
        image,
        role: name,
        binds: volumes.map(({ path }, index) => `${binds[index]}:${path}`),
        ports: name === "workspace" ? [2222] : [],
    });
}

/** What each role is there for; they print the same whoever asks. */
const work: Record<string, { command: string[]; printed: string }> = {
    postgres: {
        command: [
            ...["psql", "--no-psqlrc", "--tuples-only", "--no-align", "--command=SELECT 6 * 7"],
            `postgresql://carbon:${secrets.postgres}@127.0.0.1/carbon`,
        ],
        printed: "42",
    },
    redis: {
        command: ["env", `REDISCLI_AUTH=${secrets.redis}`, "redis-cli", "ECHO", "42"],
        printed: "42",
    },
    mosquitto: {
        command: [
            "sh",
            "-c",
            `client="-h 127.0.0.1 -u carbon -P ${secrets.mosquitto} -t limits"
            mosquitto_pub $client --retain -m 42 && mosquitto_sub $client -C 1`,
        ],
        printed: "42",
    },
    workspace: {
        command: ["sh", "-c", `echo ${secrets.ssh} | s6-setuidgid carbon sudo --stdin --prompt= id --user`],
        printed: "0",
    },
};

/** What root of a container may try, and what the kernel says. */
const attacks = [
    {
        what: "open a raw socket, as it takes to pretend to be a neighbour",
        code: "import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
        refusal: "Operation not permitted",
    },
    {
        what: "send packets that it makes up",
        code: "import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)",
        refusal: "Operation not permitted",
    },
    {
        what: "make a device node of the host's disk",
        code: "import os, stat; os.mknod('/tmp/disk', stat.S_IFBLK | 0o600, os.makedev(8, 0))",
        refusal: "Operation not permitted",
    },
];

describe.each(roles)("the role $name under the catalogue's limits", (spec) => {
    const { name, capabilities, noNewPrivileges, processes } = spec;
    let container: Docker.Container;

    beforeAll(async () => {
        container = await start(spec, await Promise.all(spec.volumes.map(makeVolume)));
        await untilHealthy(container);
    });

    it("does its work", async () => {
        const { command, printed } = work[name] as (typeof work)[string];
        expect(await run(container, command)).toBe(printed);
    });

    it("has the capabilities of the catalogue, and no others, for root to use", async () => {
        const held = await run(container, ["setpriv", "--dump"]);
        const set = /^Capability bounding set: (.*)$/m.exec(held)?.[1]?.split(",").sort();
        expect(set).toEqual(capabilities.map((capability) => capability.toLowerCase()));
        expect(held).toContain(`no_new_privs: ${noNewPrivileges ? 1 : 0}`);
    });

    it.each(attacks)("does not let its root $what", async ({ code, refusal }) => {
        const { code: exit, output } = await exec(container, ["python3", "-c", code]);
        expect(exit).toBe(1);
        expect(output).toContain(refusal);
    });

    it("bounds its log and its processes", async () => {
        const { HostConfig } = await container.inspect();
        expect(HostConfig.LogConfig).toEqual({ Type: "json-file", Config: boundedLog });
        expect(HostConfig.PidsLimit).toBe(processes);
    });

    it.runIf(noNewPrivileges)("gives nobody the rights of a set-uid program", async () => {
        await run(container, ["install", "--mode=4755", "/usr/bin/id", "/usr/local/bin/id-as-root"]);
        expect(await run(container, ["id-as-root", "--user"], "nobody")).toBe("65534");
    });

    it("is what it was after a restart", async () => {
        await container.restart({ t: 30 });
        await untilHealthy(container);
        const { HostConfig } = await container.inspect();
        expect(HostConfig.PidsLimit).toBe(processes);
        const { command, printed } = work[name] as (typeof work)[string];
        expect(await run(container, command)).toBe(printed);
    });
});

describe("the workspace", () => {
    it("takes a login over SSH, whose user becomes root with sudo", async () => {
        const workspace = roles.find(({ name }) => name === "workspace") as ServiceSpec;
        const container = await start(workspace, [await makeVolume()]);
        await untilHealthy(container);
        const sudo = `echo ${secrets.ssh} | sudo --stdin --prompt= sh -c 'install -o carbon -m 2755 -d /srv/kept && stat -c "%U %a" /srv/kept'`;
        const port = await hostPort(container, 2222);
        expect(await ssh(port, "carbon", secrets.ssh, sudo)).toBe("carbon 2755");
    });
});

/** Forks children that wait until it is refused one, or has `most`; then ends them and prints how many it had. */
const forkBomb = `
import os, signal, sys
children = []
try:
    for _ in range(int(sys.argv[1])):
        child = os.fork()
        if child == 0:
            signal.pause()
        children.append(child)
except BlockingIOError:
    pass
print(len(children))
for child in children:
    os.kill(child, signal.SIGKILL)
`;

describe.runIf(toolsets.includes("databases"))("a fork bomb in a database's container", () => {
    it("stops at the container's limit, and leaves a healthy container", async () => {
        const redis = roles.find(({ name }) => name === "redis") as ServiceSpec;
        const container = await start(redis, [await makeVolume()]);
        await untilHealthy(container);
        const most = redis.processes * 2;
        const forked = Number(await run(container, ["python3", "-c", forkBomb, `${most}`], "redis"));
        expect(forked).toBeGreaterThan(redis.processes / 2);
        expect(forked).toBeLessThan(redis.processes);
        await untilHealthy(container, 10);
    });

    it("stops at a limit that docker update sets on a running container, as carbon up does", async () => {
        const redis = roles.find(({ name }) => name === "redis") as ServiceSpec;
        const container = await start(redis, [await makeVolume()]);
        await untilHealthy(container);
        await docker.getContainer(container.id).update({ PidsLimit: 64 });
        expect(
            Number(await run(container, ["python3", "-c", forkBomb, `${redis.processes}`], "redis")),
        ).toBeLessThan(64);
        await untilHealthy(container, 10);
    });
});
