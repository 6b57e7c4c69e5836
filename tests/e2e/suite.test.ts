import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { execa } from "execa";
import { Client } from "ssh2";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Container, type Result, Stack } from "./stack";

const suite = new Stack("t-suite", { portOffset: 10000, toolsets: ["databases"] });
const second = new Stack("t-second", {
    portOffset: 20000,
    // An image that no other stack has, to be deleted in the end.
    imagePrefix: "localhost/carbon-second",
    compute: false,
    toolsets: [],
    services: [],
});
const services = ["workspace", "postgres", "redis", "mosquitto"];

let first: Result;
let logins: Record<string, Record<string, string>>;

beforeAll(async () => {
    first = await suite.up();
    logins = (await suite.carbon(["credentials"])).json;
});

afterAll(async () => {
    await second.remove();
    await suite.remove();
});

function all<T>(work: (service: string) => Promise<T>): Promise<T[]> {
    return Promise.all(services.map(work));
}

function status(url: string, headers: Record<string, string> = {}): Promise<number> {
    return fetch(url, { headers }).then((response) => response.status);
}

function sshLogin(port: number, password: string): Promise<string> {
    return new Promise((resolve) => {
        const client = new Client();
        client.on("ready", () => {
            resolve("in");
            client.end();
        });
        client.on("error", (error) => resolve(error.message));
        client.connect({ host: "127.0.0.1", port, username: "carbon", password });
    });
}

describe("a stack that came up", () => {
    it("is healthy, every container of it", async () => {
        const states = await all(async (service) => (await suite.inspect(service)).State);
        expect(states.map((state) => [state.Status, state.Health.Status])).toEqual(
            services.map(() => ["running", "healthy"]),
        );
    });

    it("has passed its check, and says what was not asked for", () => {
        const { verification } = first.json;
        expect(verification.summary.fail).toBe(0);
        expect(verification.summary.pass).toBeGreaterThanOrEqual(5);
        const of = (id: string) => verification.checks.find((check: { id: string }) => check.id === id);
        expect(of("postgres").status).toBe("PASS");
        expect(of("redis").status).toBe("PASS");
        expect(of("mosquitto").status).toBe("PASS");
        expect(of("mongodb").status).toBe("SKIP");
        expect(of("jupyter").status).toBe("PASS");
        expect(of("mps").status).toBe("SKIP");
    });

    it("opens JupyterLab with its token and with no other", async () => {
        const api = first.json.urls.jupyter.replace(/\/lab$/, "/api/status");
        expect(await status(api, { Authorization: `token ${logins.jupyter?.token}` })).toBe(200);
        expect(await status(api, { Authorization: "token wrong" })).toBe(403);
    });

    it("logs in over SSH with its password and with no other", async () => {
        const port = Number(new URL(first.json.urls.ssh).port);
        expect(await sshLogin(port, String(logins.ssh?.password))).toBe("in");
        expect(await sshLogin(port, "wrong")).toMatch(/authentication/i);
    });

    it("stores vectors and shapes in PostgreSQL, from the workspace, without a password typed", async () => {
        const sql = [
            "CREATE EXTENSION vector",
            "CREATE EXTENSION postgis",
            "CREATE TABLE place (name text, at geometry, feature vector(3))",
            "INSERT INTO place VALUES ('here', ST_Point(1, 2), '[1,2,3]')",
        ].join("; ");
        expect(await suite.shell(`psql --quiet --command "${sql}"`)).toMatchObject({ exitCode: 0 });
    });

    it("passes messages on through Mosquitto, from the workspace, without a password typed", async () => {
        const { output } = await suite.shell(
            "mosquitto_pub -h mosquitto -r -t greeting -m hello && mosquitto_sub -h mosquitto -t greeting -C 1 -W 10",
        );
        expect(output.trim()).toBe("hello");
    });

    it("refuses wrong passwords for the databases", async () => {
        const psql = await suite.shell("psql --command 'SELECT 1'", { PGPASSWORD: "wrong" });
        expect(psql.output).toMatch(/password authentication failed/);
        const redis = await suite.shell("redis-cli -h redis --no-auth-warning -a wrong ping");
        expect(redis.output).toMatch(/WRONGPASS|NOAUTH/);
        const mqtt = await suite.shell("mosquitto_sub -h mosquitto -P wrong -t greeting -C 1 -W 10");
        expect(mqtt.output).toMatch(/not authorised/i);
    });

    it("shows its passwords nowhere but where they are asked for", async () => {
        const secrets = Object.values(logins).flatMap(({ password, token }) =>
            [password, token].filter(Boolean),
        );
        expect(secrets).toHaveLength(5);
        const images = [first.json.images.base.ref, first.json.images.compute.ref];
        const places = {
            state: readFileSync(suite.checkpoint, "utf8"),
            progress: first.said,
            outputs: JSON.stringify(first.json),
            inspect: (await execa("docker", ["inspect", ...(await suite.containers()), ...images])).stdout,
            history: (
                await Promise.all(images.map((image) => execa("docker", ["history", "--no-trunc", image])))
            )
                .map(({ stdout }) => stdout)
                .join("\n"),
            logs: (await all((service) => execa("docker", ["logs", suite.container(service)], { all: true })))
                .map(({ all: text }) => text)
                .join("\n"),
            processes: (await suite.shell("ps axww -o args")).output,
            environment: (await suite.shell("env")).output,
        };
        for (const [place, text] of Object.entries(places)) {
            for (const secret of secrets) {
                expect(text.includes(String(secret)), place).toBe(false);
            }
        }
    });
});

describe("a second up", () => {
    it("changes nothing and restarts nothing", async () => {
        const before = await all((service) => suite.inspect(service));
        const { json } = await suite.up();
        const after = await all((service) => suite.inspect(service));
        expect(json.changes).toMatchObject({ create: 0, update: 0, replace: 0, delete: 0 });
        expect(after.map(identity)).toEqual(before.map(identity));
    });

    it("replaces one container alone when its port changes, and keeps its data", async () => {
        await suite.shell("redis-cli -h redis set kept yes");
        const before = await all((service) => suite.inspect(service));
        suite.configure({ ports: { redis: 7379 } });
        const { json } = await suite.up();
        const after = await all((service) => suite.inspect(service));
        expect(json.urls.redis).toBe("redis://127.0.0.1:17379");
        expect(services.filter((_, index) => after[index]?.Id !== before[index]?.Id)).toEqual(["redis"]);
        expect((await suite.shell("redis-cli -h redis get kept")).output).toContain("yes");
    });

    it("brings back what was removed by hand", async () => {
        await execa("docker", ["rm", "--force", suite.container("redis")]);
        const drift = await suite.carbon(["drift"]);
        expect(drift.exitCode).toBe(3);
        await suite.up();
        expect((await suite.inspect("redis")).State.Health.Status).toBe("healthy");
        expect((await suite.carbon(["drift"])).exitCode).toBe(0);
    });
});

describe("an up that cannot go well", () => {
    it("names every problem of a bad configuration, and touches nothing", async () => {
        const before = await all((service) => suite.inspect(service));
        suite.configure({ uid: 0, verify: "maybe" });
        const { exitCode, said } = await suite.carbon(["up"]);
        suite.configure({ uid: 1000, verify: "strict" });
        expect(exitCode).toBe(1);
        expect(said).toMatch(/has 2 problems:\n.*carbon:uid = "0".*\n.*carbon:verify = "maybe"/);
        expect(said).not.toMatch(/\n\s+at /);
        expect((await all((service) => suite.inspect(service))).map(identity)).toEqual(before.map(identity));
    });

    it("says which port is taken, before anything is made", async () => {
        const holder = createServer().listen(22222, "127.0.0.1");
        const { exitCode, said } = await second.carbon(["up"]);
        holder.close();
        expect(exitCode).toBe(1);
        expect(said).toMatch(/22222/);
        expect(await second.containers()).toEqual([]);
    });

    it("says that the root image is not to be had", async () => {
        second.configure({ rootImage: "docker.io/library/debian:trixie-nowhere" });
        const { exitCode, said } = await second.carbon(["up"]);
        second.configure({ rootImage: "docker.io/library/debian:trixie-slim" });
        expect(exitCode).toBe(1);
        expect(said).toMatch(/trixie-nowhere/);
    });

    it("goes on where Ctrl-C stopped it", async () => {
        const stopped = await second.carbon(["up"], { stopWhen: /workspace-home-volume/ });
        expect(stopped.exitCode).toBe(130);
        expect(stopped.said).toMatch(/Interrupted/);
        await second.up();
        expect((await second.inspect("workspace")).State.Health.Status).toBe("healthy");
    });
});

describe("two stacks", () => {
    it("run side by side", async () => {
        const running = [...(await suite.containers()), ...(await second.containers())];
        expect(running).toEqual([
            "carbon-t-suite-mosquitto",
            "carbon-t-suite-postgres",
            "carbon-t-suite-redis",
            "carbon-t-suite-workspace",
            "carbon-t-second-workspace",
        ]);
        expect(await sshLogin(22222, String(logins.ssh?.password))).toMatch(/authentication/i);
    });
});

describe("down", () => {
    it("keeps the data, and the next up finds it", async () => {
        const { exitCode, json } = await suite.carbon(["down"]);
        expect(exitCode).toBe(0);
        expect(json.kept).toContain("carbon-t-suite-postgres");
        expect(await suite.containers()).toEqual([]);
        await suite.up();
        const { output } = await suite.shell(
            `psql -At --command "SELECT name, ST_AsText(at), feature <-> '[1,2,3]' FROM place"`,
        );
        expect(output.trim()).toBe("here|POINT(1 2)|0");
    });

    it("deletes the data only when it is told to", async () => {
        await suite.carbon(["down", "--volumes"]);
        expect(await suite.containers()).toEqual([]);
        expect(await suite.volumes()).toEqual([]);
    });

    it("deletes the image only when it is told to", async () => {
        const image = (await second.inspect("workspace")).Image;
        const { exitCode, json, said } = await second.carbon(["down", "--images"]);
        expect(exitCode, said).toBe(0);
        expect(json.removed).toContainEqual(expect.stringMatching(/^localhost\/carbon-second\/base:/));
        await expect(execa("docker", ["image", "inspect", image])).rejects.toThrow(/No such image/i);
    });
});

function identity({ Id, State }: Container): string {
    return `${Id} ${State.StartedAt}`;
}
