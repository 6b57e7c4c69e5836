import type Docker from "dockerode";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { everyService } from "../../catalogue";
import {
    exec,
    makeNetwork,
    makeVolume,
    removeAll,
    run,
    secrets,
    startHealthy,
} from "../image/base-container";
import { readImageJson } from "../image/base-image";
import { computeImage } from "../image/compute-image";

const image = computeImage();
const { toolsets } = readImageJson(image);
const roles = ["postgres", "redis", "mosquitto"] as const;
const python = "/opt/carbon/venv/bin/python";

/** Every way that the clients themselves have to name a server, and a user's habits with each. */
const spellings = {
    PONG: [
        "redis-cli -h redis PING",
        "redis-cli -p 6379 -h redis -n 1 PING",
        "redis-cli -3 -t 5 -h redis -r 1 PING",
        "redis-cli -h redis. PING",
        "redis-cli -h carbon-test-redis PING",
        "redis-cli -h 127.0.0.1 -h redis PING",
        "redis-cli -u redis://redis PING",
        "redis-cli -u redis://redis:6379/2 PING",
        `redis-cli --no-auth-warning -u redis://default:${secrets.redis}@redis PING`,
        "echo PING | redis-cli -h redis",
        `REDISCLI_AUTH=${secrets.redis} redis-cli -h redis PING`,
        `redis-cli --no-auth-warning -h redis -a ${secrets.redis} PING`,
        'redis-cli -u "$(cut -d? -f1 <<< "$REDIS_URL")" PING',
    ],
    hello: [
        "mosquitto_sub -h mosquitto -t a -C 1 -W 10",
        "mosquitto_sub --host mosquitto -t a -C 1 -W 10",
        "mosquitto_sub -t a -C 1 -W 10 -h mosquitto",
        "mosquitto_sub -t a -C 1 -W 10 --url mqtt://mosquitto/a",
        "mosquitto_sub -L mqtt://mosquitto:1883/a -C 1 -W 10",
        "mosquitto_sub -L mqtt://carbon@mosquitto/a -C 1 -W 10",
        'mosquitto_sub -L "$MQTT_URL/a" -C 1 -W 10',
        "mkdir -p ~/.config && echo '-h mosquitto' > ~/.config/mosquitto_sub && mosquitto_sub -t a -C 1 -W 10; rm ~/.config/mosquitto_sub",
        "mkdir -p /tmp/own && printf -- '-C 1\\n-t a\\n' > /tmp/own/mosquitto_sub && XDG_CONFIG_HOME=/tmp/own mosquitto_sub -h mosquitto -W 10",
        `mosquitto_sub -h mosquitto -u carbon -P ${secrets.mosquitto} -t a -C 1 -W 10`,
        "mosquitto_sub -h mosquitto -u carbon -t a -C 1 -W 10",
    ],
    "1": [
        "psql -tAc 'SELECT 1'",
        "psql -h postgres -tAc 'SELECT 1'",
        "psql --host=postgres --port=5432 -tAc 'SELECT 1'",
        "psql -h postgres -U carbon -d carbon -tAc 'SELECT 1'",
        "psql postgresql:///carbon -tAc 'SELECT 1'",
        "psql postgres://postgres/carbon -tAc 'SELECT 1'",
        "psql postgresql://carbon@postgres:5432/carbon -tAc 'SELECT 1'",
        'psql "$DATABASE_URL" -tAc "SELECT 1"',
        "psql 'host=postgres dbname=carbon' -tAc 'SELECT 1'",
        "printf '[own]\\nhost=postgres\\ndbname=carbon\\n' > /tmp/service; PGSERVICEFILE=/tmp/service psql service=own -tAc 'SELECT 1'",
        "createdb -h postgres made && psql -h postgres -d made -tAc 'SELECT 1' && dropdb made",
        "pg_dump -h postgres carbon > /dev/null && echo 1",
        "pg_isready -h postgres > /dev/null && echo 1",
        "env -u PGPASSFILE -u PGUSER -u PGHOST psql -h postgres -tAc 'SELECT 1'",
    ],
} as const;

// With TLS the wrappers have everything to do that they have without, and more; base.test.ts has both in brief.
describe.runIf(toolsets.includes("databases"))("the databases' clients in the workspace", () => {
    const tls = true;
    let workspace: Docker.Container;

    beforeAll(async () => {
        const network = await makeNetwork();
        const binds = [`${await makeVolume()}:/var/lib/carbon/keys`];
        await Promise.all(
            roles.map(async (role) => {
                const service = await startHealthy({ image, role, stack: { tls }, binds });
                const Aliases = [role, `carbon-test-${role}`];
                await network.connect({ Container: service.id, EndpointConfig: { Aliases } });
            }),
        );
        workspace = await startHealthy({
            image,
            role: "workspace",
            stack: { tls, services: roles },
            binds,
            host: { network, name: "workspace" },
        });
        await shell("mosquitto_pub -h mosquitto -r -t a -m hello");
    });
    afterAll(removeAll);

    /** What a command prints, in the environment that the user's terminals have. */
    const shell = (command: string) =>
        run(workspace, ["bash", "-c", `set -a; . /etc/environment; set +a; { ${command}; } 2>&1`], "carbon");

    it.each(Object.entries(spellings))("answer %s, whatever way they are asked", async (answer, commands) => {
        const answers = commands.map(async (command) => [command, await shell(command).catch(String)]);
        expect(await Promise.all(answers)).toEqual(commands.map((command) => [command, answer]));
    });

    it("leave alone what is not the suite's", async () => {
        // None of the suite's options: nobody is to be sent its password.
        const env = "env -u REDISCLI_AUTH";
        for (const command of [
            `${env} redis-cli -h localhost PING`,
            `${env} redis-cli SET -h redis`,
            "mosquitto_pub -h localhost -t a -m b",
        ]) {
            expect(await shell(`${command} || true`), command).toMatch(/Connection refused/);
        }
    });

    it("connect from Python by the one line that the reference has", async () => {
        const lines = everyService
            .filter(({ name }) => roles.some((role) => role === name))
            .map(({ connection }) => connection?.tlsPython ?? connection?.python);
        const ask = [
            'print(postgres.execute("SELECT current_user").fetchone()[0])',
            "print(redis.ping())",
            'print(mosquitto or "published")',
        ];
        const program = [
            "import os, sys, psycopg, paho.mqtt.publish",
            "import redis as redis_module",
            ...lines.map((line, index) => `${roles[index]} = ${line?.replace(/^redis\./, "redis_module.")}`),
            ...ask,
        ].join("\n");
        expect((await shell(`${python} -c '${program}' 2> /dev/null`)).split("\n")).toEqual([
            "carbon",
            "True",
            "published",
        ]);
    });

    it("find an address for each service, and no password, in the environment", async () => {
        const { output } = await exec(workspace, ["cat", "/etc/environment"], "carbon");
        const variables = everyService
            .filter(({ name }) => roles.some((role) => role === name))
            .map(({ connection }) => connection?.variable);
        for (const variable of variables) {
            expect(output).toMatch(new RegExp(`^${variable}=\\w+://`, "m"));
        }
        const seen = await run(workspace, ["sh", "-c", "cat /proc/[0-9]*/environ; true"], "carbon");
        expect(Object.values(secrets).filter((secret) => `${output}${seen}`.includes(secret))).toEqual([]);
    });
});
