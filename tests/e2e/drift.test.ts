import { rmSync } from "node:fs";
import { execa } from "execa";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Stack } from "./stack";

const suite = new Stack("t-drift", {
    portOffset: 12000,
    // What is done to its image's tag is not done to others'.
    imagePrefix: "localhost/carbon-drift",
    toolsets: ["databases"],
    compute: false,
    appPorts: [],
});
const network = "carbon-t-drift";
const other = "t-drift-other";
let tag: string;

beforeAll(async () => {
    const { json } = await suite.up();
    tag = json.images.base.ref.replace(/@.*/, "");
    await suite.shell("redis-cli -h redis set kept yes");
    await docker("network", "create", other);
});

afterAll(async () => {
    await suite.remove();
    await docker("network", "rm", other);
});

async function docker(...args: string[]): Promise<string> {
    return (await execa("docker", args)).stdout;
}

/** `what: property: found` of each difference that `carbon drift` lists. */
async function drift(): Promise<string[]> {
    const { exitCode, json } = await suite.carbon(["drift"]);
    expect(exitCode).toBe(json.clean ? 0 : 3);
    return json.differences.map((one: Record<string, string>) =>
        [one.what, one.property, one.found].join(": "),
    );
}

/** Drift is found as it should be, and gone after an `up`, with the data still there. */
async function heals(expected: (string | RegExp)[], ...flags: string[]): Promise<void> {
    const found = await drift();
    expect(found).toHaveLength(expected.length);
    for (const one of expected) {
        expect(found).toContainEqual(typeof one === "string" ? one : expect.stringMatching(one));
    }
    const { exitCode, said } = await suite.carbon(["up", ...flags]);
    expect(exitCode, said).toBe(0);
    expect(await drift()).toEqual([]);
    expect((await suite.shell("redis-cli -h redis get kept")).output).toContain("yes");
}

// All of a kind at once where they do not touch one another.
it("sees nothing where nothing was changed", async () => {
    expect(await drift()).toEqual([]);
});

it("heals containers that were stopped, paused, limited, or joined to another network", async () => {
    await docker("stop", suite.container("redis"));
    await docker("pause", suite.container("mosquitto"));
    await docker("update", "--memory=256m", "--memory-swap=512m", suite.container("postgres"));
    await docker("update", "--pids-limit=100", suite.container("workspace"));
    await docker("network", "connect", other, suite.container("workspace"));
    await heals([
        "postgres: memory: 256 MiB",
        "postgres: memory and swap: 512 MiB",
        "redis: state: stopped",
        "mosquitto: state: paused",
        "workspace: processes: 100",
        `workspace: networks: joined ${other}, too`,
    ]);
});

it("heals containers that were removed, renamed, not to be restarted, or off the network", async () => {
    await docker("rm", "--force", suite.container("redis"));
    await docker("rename", suite.container("mosquitto"), "t-drift-renamed");
    await docker("update", "--restart=no", suite.container("postgres"));
    await docker("update", "--cpuset-cpus=0", suite.container("postgres"));
    await docker("network", "disconnect", network, suite.container("workspace"));
    await heals([
        "postgres: restart policy: no",
        "postgres: CpusetCpus: 0",
        "redis: existence: gone",
        "mosquitto: name: t-drift-renamed",
        `workspace: networks: left it`,
    ]);
});

it("heals an image's tag that was moved, and one that was deleted", async () => {
    await docker("tag", "docker.io/library/debian:trixie-slim", tag);
    await heals([`image ${tag}: tag: moved to another one`]);
    await docker("rmi", "--force", tag);
    await heals([`image ${tag}: existence: gone`]);
});

it("heals a volume and a network that were removed", async () => {
    await docker("rm", "--force", ...(await suite.containers()));
    await docker("volume", "rm", "carbon-t-drift-mosquitto");
    await docker("network", "rm", network);
    await heals([
        "postgres: existence: gone",
        "redis: existence: gone",
        "mosquitto: existence: gone",
        "workspace: existence: gone",
        `network ${network}: existence: gone`,
        "volume carbon-t-drift-mosquitto: existence: gone",
    ]);
});

it("asks before it takes the place of a container and a network that somebody made by hand", async () => {
    await docker("rm", "--force", ...(await suite.containers()));
    await docker("network", "rm", network);
    await docker("network", "create", "--subnet=10.213.7.0/24", network);
    const image = "docker.io/library/debian:trixie-slim";
    await docker(
        "run",
        "--detach",
        "--name",
        suite.container("redis"),
        "--network",
        network,
        image,
        "sleep",
        "inf",
    );
    const refused = await suite.carbon(["up"]);
    expect(refused.exitCode).toBe(1);
    expect(refused.said).toMatch(
        /carbon-t-drift-redis is another one, made .* ago from .*debian:trixie-slim/,
    );
    expect(refused.said).toMatch(/another one, made .* ago with the addresses 10\.213\.7\.0\/24/);
    expect(await docker("inspect", "--format", "{{.State.Status}}", suite.container("redis"))).toBe(
        "running",
    );
    await heals(
        [
            "postgres: existence: gone",
            /^redis: container: carbon-t-drift-redis is another one/,
            "mosquitto: existence: gone",
            "workspace: existence: gone",
            /^network carbon-t-drift: network: another one/,
        ],
        "--replace-foreign",
    );
});

it("takes the stack over where the clone has lost its state, with its data and new passwords", async () => {
    const before = (await suite.carbon(["credentials"])).json;
    rmSync(suite.checkpoint);
    const { exitCode, said } = await suite.carbon(["up"]);
    expect(exitCode, said).toBe(0);
    expect(said).toContain("This clone has no state of what Docker has of the stack t-drift");
    expect((await suite.shell("redis-cli -h redis get kept")).output).toContain("yes");
    expect((await suite.shell("psql -Atc 'select 1'")).output).toContain("1");
    const after = (await suite.carbon(["credentials"])).json;
    expect(after.redis.password).not.toBe(before.redis.password);
    expect(await drift()).toEqual([]);
});
