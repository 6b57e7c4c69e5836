import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { explain } from "../../src/docker/calls";
import { connect } from "../../src/docker/endpoint";

let folder: string;

beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "engine-ssh-"));
    vi.stubEnv("PATH", `${folder}:${process.env.PATH}`);
});

afterEach(() => {
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true, force: true });
});

/** An `ssh` that notes its arguments and does what the script says. */
function fakeSsh(script: string): void {
    writeFileSync(join(folder, "ssh"), `#!/bin/sh\nprintf '%s\\n' "$*" >> ${folder}/calls\n${script}\n`);
    chmodSync(join(folder, "ssh"), 0o755);
}

const calls = () => readFileSync(join(folder, "calls"), "utf8").trim().split("\n");

describe("a Docker Engine over SSH", () => {
    it("is asked through `docker system dial-stdio` on the server, one connection for each request", async () => {
        fakeSsh(
            `printf 'HTTP/1.1 200 OK\\r\\nContent-Length: 14\\r\\n\\r\\n{"Name":"far"}'; cat > /dev/null`,
        );
        const docker = connect({ host: "ssh://ada@far.example.com:2200" });
        expect(await docker.info()).toEqual({ Name: "far" });
        await docker.info();
        const line = "-l ada -p 2200 -o ConnectTimeout=30 -T -- far.example.com docker system dial-stdio";
        expect(calls()).toEqual([line, line]);
    });

    it("is away with ssh's own words", async () => {
        fakeSsh("echo 'Host key verification failed.' >&2; exit 255");
        const failure = await connect({ host: "ssh://far.example.com" }).info().catch(explain);
        expect(failure).toMatch(/^The Docker Engine cannot be reached \(Host key verification failed\.\)/);
    });

    it.each([
        ["is killed", "kill -9 $$", /ssh ended with code/],
        ["ends in order", "exit 0", /the server ended the connection/],
    ])("is away where ssh %s in the middle of an answer", async (_how, end, reason) => {
        fakeSsh(`printf 'HTTP/1.1 200 OK\\r\\nContent-Length: 1000\\r\\n\\r\\n{'; sleep 0.2; ${end}`);
        await expect(connect({ host: "ssh://far.example.com" }).ping()).rejects.toThrow(reason);
    });

    it.each(["ssh://-oProxyCommand=touch@", "ssh://ada:pw@far", "ssh://far/var/run/docker.sock"])(
        "has no address %s",
        (host) => {
            expect(() => connect({ host })).toThrow(/is ssh:\/\/host|no address of a Docker Engine/);
        },
    );
});
