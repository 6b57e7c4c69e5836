// Every command that changes something, killed at a random moment: the next one completes it, nothing is lost, and
// nothing is left over. CARBON_KILL_TRIALS is how often each is killed; 1 when absent.
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Stack } from "../e2e/stack";

const trials = Number(process.env.CARBON_KILL_TRIALS ?? 1);
const project = join(__dirname, "..", "..");
const services = ["postgres", "redis"];
const suite = new Stack("t-killed", { portOffset: 14000, compute: false, services, appPorts: [] });
const file = join(tmpdir(), "carbon-t-killed.age");
const passphrase = join(tmpdir(), "carbon-t-killed-passphrase");
const secret = ["--passphrase-file", passphrase];

beforeAll(async () => {
    writeFileSync(passphrase, "a passphrase of the test\n", { mode: 0o600 });
    await suite.up();
    await suite.shell("psql -c 'CREATE TABLE kept AS SELECT 42 AS answer'; redis-cli -h redis set kept yes");
    expect((await suite.carbon(["backup", "--to", file, ...secret])).exitCode).toBe(0);
});

afterAll(async () => {
    await suite.remove();
    const copies = readdirSync(project).filter((name) =>
        name.startsWith(`Pulumi.${suite.name}.yaml.before-`),
    );
    for (const leftover of [file, ...halves(), passphrase, ...copies.map((name) => join(project, name))]) {
        rmSync(leftover, { force: true });
    }
});

/** Half-written backups. */
function halves(): string[] {
    const isHalf = (name: string) => /^carbon-t-killed\.age\.[0-9a-f]{12}\.part$/.test(name);
    return readdirSync(tmpdir())
        .filter(isHalf)
        .map((name) => join(tmpdir(), name));
}

/** Runs the command; kills it and all that it has started after so many milliseconds, unless it has ended. */
async function killed(command: string[], milliseconds: number): Promise<void> {
    const run = execa("node", ["cli/carbon.js", ...command, "--stack", suite.name, "--yes"], {
        cwd: project,
        reject: false,
        stdio: "ignore",
        detached: true,
    });
    await Promise.race([run, sleep(milliseconds)]);
    if (run.pid && run.exitCode === null) {
        process.kill(-run.pid, "SIGKILL");
    }
    await run;
}

/** The stack is whole, with its data, and nothing else of it is there. */
async function expectWhole(): Promise<void> {
    expect((await suite.carbon(["status"])).json.healthy).toBe(true);
    expect((await suite.carbon(["drift"])).json.differences).toEqual([]);
    expect((await suite.shell("psql -Atc 'TABLE kept'; redis-cli -h redis get kept")).output).toMatch(
        /42\s+yes/,
    );
    const names = (await execa("docker", ["ps", "--all", "--format", "{{.Names}}"])).stdout.split("\n");
    expect(names.filter((name) => name.includes(suite.name)).sort()).toEqual(
        ["postgres", "redis", "workspace"].map((service) => suite.container(service)),
    );
    expect(await suite.volumes()).toEqual(
        ["home", "keys", "postgres", "redis"].map((volume) => `carbon-${suite.name}-${volume}`),
    );
}

/** Another value each time. */
let turn = 0;
const operations: [name: string, prepare: () => unknown, command: string[], then: string[]][] = [
    [
        "up, which replaces a container",
        () => suite.configure({ ports: { redis: 7000 + ++turn } }),
        ["up"],
        ["up"],
    ],
    [
        "up, which changes a limit",
        () => suite.configure({ serviceMemory: { redis: 500 + ++turn } }),
        ["up"],
        ["up"],
    ],
    ["down", () => {}, ["down"], ["up"]],
    ["up, after a down", () => suite.carbon(["down"]), ["up"], ["up"]],
    ["backup", () => {}, ["backup", "--to", file, ...secret], ["backup", "--to", file, ...secret]],
    [
        "restore of a part",
        () => suite.shell("redis-cli -h redis set kept no"),
        ["restore", file, "--only", "redis", ...secret],
        ["restore", file, "--only", "redis", ...secret],
    ],
    [
        "restore of the whole",
        () => suite.shell("psql -c 'DROP TABLE kept'"),
        ["restore", file, ...secret],
        ["restore", file, ...secret],
    ],
];

describe.each(operations)("killed: %s", (_, prepare, command, then) => {
    let duration = 0;

    it("ends well where it is left alone", async () => {
        await prepare();
        const began = Date.now();
        const { exitCode, said } = await suite.carbon(command);
        duration = Date.now() - began;
        expect(exitCode, said).toBe(0);
        if (command[0] === "down") {
            await suite.up();
        }
    });

    it.each(Array.from({ length: trials }, (_, index) => index + 1))("is completed, trial %i", async () => {
        await prepare();
        const moment = Math.random();
        await killed(command, moment * duration);
        const where = `killed at ${moment.toFixed(3)} of ${duration} ms`;
        const { exitCode, said } = await suite.carbon(then);
        expect(exitCode, `${where}: ${said}`).toBe(0);
        // A backup that was killed leaves its containers paused for an `up`.
        const up = await suite.carbon(["up"]);
        expect(up.exitCode, `${where}: ${up.said}`).toBe(0);
        await expectWhole();
        // A half is the killed run's own, which no other run touches.
        expect(halves().length, where).toBeLessThanOrEqual(command[0] === "backup" ? 1 : 0);
        for (const half of halves()) {
            rmSync(half);
        }
        expect((await suite.carbon(["backup", "verify", file, ...secret])).exitCode, where).toBe(0);
    });
});
