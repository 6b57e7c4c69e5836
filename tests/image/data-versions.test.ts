import { execa } from "execa";
import { expect, it } from "vitest";
import { mosquitto } from "../../catalogue/mosquitto";
import { postgres } from "../../catalogue/postgres";
import { redis } from "../../catalogue/redis";
import { baseImage } from "./base-image";

const image = baseImage();

/** What a shell script prints in the image. */
async function output(script: string): Promise<string> {
    const args = ["run", "--rm", "--network=none", "--entrypoint=sh", image, "-euc", script];
    return (await execa("docker", args)).stdout.trim();
}

it("PostgreSQL is of the major version that the catalogue says", async () => {
    expect(await output("ls /usr/lib/postgresql")).toBe(String(postgres.data?.version));
});

it("Redis writes the RDB version that the catalogue says", async () => {
    const script = `
        redis-server --port 7777 --dir /tmp --daemonize yes > /dev/null
        until redis-cli -p 7777 save > /dev/null 2>&1; do sleep 0.1; done
        head -c 9 /tmp/dump.rdb | tr -cd 0-9`;
    expect(Number(await output(script))).toBe(redis.data?.version);
});

it("Mosquitto writes the version of its store that the catalogue says", async () => {
    const script = `
        install -d -o mosquitto /tmp/store
        printf '%s\\n' 'listener 1883 127.0.0.1' 'allow_anonymous true' 'persistence true' \\
            'persistence_location /tmp/store/' > /tmp/mosquitto.conf
        mosquitto -c /tmp/mosquitto.conf > /dev/null 2>&1 & pid=$!
        until mosquitto_pub -t topic -m text > /dev/null 2>&1; do sleep 0.1; done
        kill $pid; wait $pid || true
        head -c 23 /tmp/store/mosquitto.db | tail -c 4 | od -A n -t u1 | tr -s ' ' '\\n' | tail -n 1`;
    expect(Number(await output(script))).toBe(mosquitto.data?.version);
});
