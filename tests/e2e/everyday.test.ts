import { readFileSync, statSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Result, Stack } from "./stack";

// What people do with a stack that they keep. One stack; each test starts where the one before it ended.
const stack = new Stack("t-everyday", {
    portOffset: 26000,
    compute: false,
    toolsets: ["databases"],
    services: ["postgres", "redis"],
});
const services = ["workspace", "postgres", "redis"];
const own = path.resolve(__dirname, "../../.carbon");

const logins = async (): Promise<Record<string, Record<string, string>>> =>
    (await stack.carbon(["credentials"])).json;
const psql = (password: string) =>
    stack.shell("psql --no-align --tuples-only --command 'SELECT 1'", { PGPASSWORD: password });
const ids = () => Promise.all(services.map(async (service) => (await stack.inspect(service)).Id));
const states = () =>
    Promise.all(services.map(async (service) => (await stack.inspect(service)).State.Status));

let first: Record<string, Record<string, string>>;

beforeAll(async () => {
    await stack.up();
    first = await logins();
});
afterAll(() => stack.remove());

describe("passwords", () => {
    it("stay the same through down and up, and so do the databases'", async () => {
        const { json } = await stack.carbon(["down"]);
        expect(json.changes.delete).toBeGreaterThan(0);
        expect(json.changes.keep).toBe((await stack.volumes()).length + 1);
        expect(await stack.containers()).toEqual([]);
        expect(readFileSync(stack.checkpoint, "utf8")).not.toContain("docker:index/container:Container");
        await stack.up();
        expect(await logins()).toEqual(first);
        expect((await psql(String(first.postgres?.password))).output).toBe("1");
    });

    it("are changed on purpose, for one service, and open it from then on while the old one does not", async () => {
        const [before, old] = [await ids(), first.postgres?.password];
        const { exitCode, said, json } = await stack.carbon(["credentials", "rotate", "postgres"]);
        expect(exitCode, said).toBe(0);
        expect(json.rotated).toEqual(["postgres"]);
        const now = await logins();
        const { postgres, ...others } = now;
        expect(postgres?.password).not.toBe(old);
        expect(others).toEqual(
            Object.fromEntries(Object.entries(first).filter(([key]) => key !== "postgres")),
        );
        expect((await psql(String(postgres?.password))).output).toBe("1");
        expect((await psql(String(old))).output).toMatch(/password authentication failed/);
        const after = await ids();
        // The workspace, which holds a copy, and PostgreSQL.
        expect(services.filter((_, index) => before[index] !== after[index])).toEqual([
            "workspace",
            "postgres",
        ]);
    });

    it("names what there is where there is no such password", async () => {
        const { exitCode, said } = await stack.carbon(["credentials", "rotate", "mysql"]);
        expect(exitCode).toBe(2);
        expect(said).toContain("It has: postgres, redis, ssh, workspace.");
    });
});

describe("stop and start", () => {
    it("stops everything as it is, once", async () => {
        const before = await ids();
        expect((await stack.carbon(["stop"])).json.stopped).toHaveLength(3);
        expect(await states()).toEqual(["exited", "exited", "exited"]);
        expect((await stack.carbon(["stop"])).json.stopped).toEqual([]);
        expect(await ids()).toEqual(before);
    });

    it("is told apart from drift, which touches nothing", async () => {
        const before = await ids();
        const { exitCode, json } = await stack.carbon(["drift"]);
        expect(exitCode).toBe(3);
        expect(json.stopped).toHaveLength(3);
        expect(json.differences.map(({ kind }: { kind: string }) => kind)).toEqual(Array(3).fill("stopped"));
        expect((await stack.carbon(["refresh"])).said).toContain("Type: ./carbon start --stack t-everyday");
        expect(await ids()).toEqual(before);
    });

    it("starts everything again and waits until it is healthy", async () => {
        const before = await ids();
        expect((await stack.carbon(["start"])).json.started).toHaveLength(3);
        const { exitCode, json } = await stack.carbon(["status"]);
        expect(exitCode).toBe(0);
        for (const { memory } of json.services) {
            expect(memory.used).toBeGreaterThan(1e6);
            expect(memory.limit).toBeGreaterThan(memory.used);
        }
        expect((await stack.carbon(["start"])).json.started).toEqual([]);
        expect(await ids()).toEqual(before);
        expect((await psql(String((await logins()).postgres?.password))).output).toBe("1");
        expect((await stack.carbon(["drift"])).exitCode).toBe(0);
    });

    it("is started by up, too, without making anything anew", async () => {
        const before = await ids();
        await stack.carbon(["stop"]);
        await stack.up();
        expect(await ids()).toEqual(before);
        expect(await states()).toEqual(["running", "running", "running"]);
    });
});

describe("status", () => {
    it("tells of a program that Linux ended for want of memory, with the setting that raises the limit", async () => {
        // In a cgroup that is full, the largest program goes.
        await execa(
            "docker",
            ["exec", stack.container("redis"), "sh", "-c", "dd if=/dev/zero of=/dev/null bs=1200M count=1"],
            { reject: false },
        );
        const { json } = await stack.carbon(["status"]);
        const redis = json.services.find(({ service }: { service: string }) => service === "redis");
        expect(redis.outOfMemory).toBe(true);
        expect(redis.memory.killed).toBeGreaterThan(0);
    });
});

describe("ssh-config", () => {
    it("is a block that ssh reads and logs in by, with the workspace's own host key", async () => {
        const { stdout } = await execa("node", ["cli/carbon.js", "ssh-config", "--stack", stack.name]);
        const file = path.join(own, "ssh-config.t-everyday");
        writeFileSync(file, stdout);
        const shown = await execa("ssh", ["-G", "-F", file, "carbon-t-everyday"]);
        expect(shown.stdout).toContain(`port ${2222 + 26000}`);
        expect(shown.stdout).toMatch(/^hostkeyalias carbon-t-everyday$/m);
        // Without a password it gets as far as the question for one, and no further with another host key.
        const line = ["-F", file, "-o", "BatchMode=yes", "carbon-t-everyday", "true"];
        const asked = await execa("ssh", line, { reject: false });
        expect(asked.stderr).toMatch(/Permission denied/);
        const known = path.join(own, "known_hosts-t-everyday");
        expect(statSync(known).mode & 0o077).toBe(0);
        const other = readFileSync(known, "utf8").replace(
            /AAAAI.{20}/,
            (key) => `AAAAI${"B".repeat(key.length - 5)}`,
        );
        writeFileSync(known, other);
        expect((await execa("ssh", line, { reject: false })).stderr).not.toMatch(/Permission denied/);
    });
});

describe("the end", () => {
    it("speaks sense of a stack that is down", async () => {
        // Fingerprints are of what runs.
        const { fingerprints: _, ...shown } = await logins();
        await stack.carbon(["down"]);
        const status = await stack.carbon(["status"]);
        expect(status.exitCode).toBe(1);
        expect(status.json).toMatchObject({ deployed: false, services: [] });
        const credentials = await stack.carbon(["credentials"]);
        expect(credentials.json).toEqual(shown);
        expect(credentials.said).toContain(
            "The stack t-everyday is down; its data and its passwords are kept.",
        );
        expect((await stack.carbon(["open"])).exitCode).toBe(1);
        expect((await stack.carbon(["drift"])).exitCode).toBe(3);
        const preview = await stack.carbon(["preview"]);
        expect(preview.json.changes.create).toBeGreaterThan(0);
        expect((await stack.carbon(["down"])).exitCode).toBe(0);
    });

    it("takes the passwords with the volumes", async () => {
        await stack.carbon(["down", "--volumes"]);
        expect(await stack.volumes()).toEqual([]);
        expect(readFileSync(stack.checkpoint, "utf8")).not.toContain("RandomPassword");
        const gone: Result = await stack.carbon(["credentials"]);
        expect(gone.said).toContain("is not deployed");
    });
});
