import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeClone } from "./clone";
import { Stack } from "./stack";

const settings = {
    compute: false,
    toolsets: ["databases"],
    services: ["postgres", "redis", "mosquitto"],
    portOffset: 22000,
};
const name = "t-bk";
const file = join(tmpdir(), `carbon-${name}.age`);
const passphraseFile = join(tmpdir(), `carbon-${name}-passphrase`);
const withPassphrase = ["--passphrase-file", passphraseFile];

/** Names, kinds, modes, owners, links, sizes, contents and attributes of all that lies in ~/data. */
const listHome = `
import hashlib, os, stat
for folder, folders, files in os.walk(b"/home/carbon/data"):
    for name in sorted([b""] + folders + files):
        path = os.path.join(folder, name)
        found = os.lstat(path)
        kind = stat.S_IFMT(found.st_mode)
        if kind == stat.S_IFSOCK:
            continue # It is nothing without its program.
        content = os.readlink(path) if kind == stat.S_IFLNK else open(path, "rb").read() if kind == stat.S_IFREG else b""
        attributes = {} if kind == stat.S_IFLNK else {key: os.getxattr(path, key) for key in os.listxattr(path)}
        print(path, oct(found.st_mode), found.st_uid, found.st_gid, found.st_size if kind == stat.S_IFREG else "",
            found.st_nlink, int(found.st_mtime), hashlib.sha256(content).hexdigest(), attributes)
`;
const fillHome = `
import os, socket
os.umask(0)
os.mkdir("/home/carbon/data"); os.chdir(b"/home/carbon/data")
for name in [b"plain", b"-rf", b"two\\nlines", b"\\xff\\xfe", b" blank ", b"$(id)", b"\\x1b[31m"]:
    with open(name, "wb") as file: file.write(name * 1000)
os.chmod("plain", 0o4751)
os.link("plain", "hard"); os.symlink("/etc/shadow", "absolute"); os.symlink("../../../../etc", "upwards")
os.symlink("nowhere", "dangling"); os.mkdir("empty"); os.mkdir("sticky"); os.chmod("sticky", 0o1777); os.mkfifo("pipe")
with open("sparse", "wb") as file: file.seek(200_000_000); file.write(b"end")
os.setxattr("plain", "user.note", b"kept")
os.makedirs("/".join(["deep"] * 10)); os.utime("empty", (1, 1))
socket.socket(socket.AF_UNIX).bind("socket")
`;
/** What root alone can do. A start of the workspace gives root's own files to carbon. */
const fillAsRoot = `
import os, struct
os.chdir("/home/carbon/data")
open("foreign", "w").close(); os.chown("foreign", 12345, 54321)
os.setxattr("-rf", "security.capability", struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0))
`;
const statements = `
CREATE ROLE app LOGIN PASSWORD 'app-password';
CREATE DATABASE second OWNER carbon;
CREATE TABLE numbers AS SELECT n, md5(n::text) AS hash FROM generate_series(1, 50000) n;
CREATE INDEX ON numbers (hash);
CREATE EXTENSION IF NOT EXISTS vector;
CREATE TABLE vectors (v vector(3)); INSERT INTO vectors VALUES ('[1,2,3]');
\\c second
CREATE TABLE places (name text); INSERT INTO places VALUES ('Zürich'); GRANT SELECT ON places TO app;
`;

describe("a backup", () => {
    let clone: string;
    let stack: Stack;
    let before: Record<string, string>;

    const root = async (service: string, command: string[], input?: string) =>
        (
            await execa("docker", ["exec", "--interactive", stack.container(service), ...command], {
                input: input ?? "",
            })
        ).stdout;
    const user = async (line: string) => {
        const { exitCode, output } = await stack.shell(line);
        expect(exitCode, output).toBe(0);
        return output;
    };
    const seen = async () => ({
        home: await root("workspace", ["/usr/bin/python3", "-"], listHome),
        postgres: await user(
            "psql -Atc 'SELECT count(*), md5(string_agg(hash, $$,$$ ORDER BY n)) FROM numbers' -c 'SELECT * FROM vectors'",
        ),
        second: await user(
            "PGPASSFILE= PGPASSWORD=app-password psql -U app -d second -Atc 'SELECT * FROM places'",
        ),
        redis: await user(
            "for c in 'get text' 'lrange list 0 -1' 'hgetall hash' 'zrange sorted 0 -1 withscores' 'pexpiretime text'; do redis-cli -h redis $c; done",
        ),
        mqtt: await user("mosquitto_sub -h mosquitto -t '#' -C 2 -W 5 -v | sort"),
        keys: await user("ssh-keyscan -p 2222 localhost 2>/dev/null | sort"),
    });
    const carbon = async (...command: string[]) => {
        const result = await stack.carbon(command);
        expect(result.exitCode, result.said).toBe(0);
        return result;
    };
    const states = async () =>
        Promise.all(
            ["workspace", "postgres", "redis", "mosquitto"].map(
                async (service) => (await stack.inspect(service)).State.Status,
            ),
        );

    beforeAll(async () => {
        writeFileSync(passphraseFile, "a passphrase with blanks \n", { mode: 0o600 });
        rmSync(file, { force: true });
        clone = await makeClone(`carbon-${name}-clone`);
        stack = new Stack(name, settings, clone);
        await stack.up();
        await root("workspace", ["s6-setuidgid", "carbon", "/usr/bin/python3", "-"], fillHome);
        await root("workspace", ["/usr/bin/python3", "-"], fillAsRoot);
        await root(
            "postgres",
            [
                "s6-setuidgid",
                "postgres",
                "psql",
                "-h",
                "/run/postgresql",
                "-U",
                "carbon",
                "-d",
                "carbon",
                "-Xq",
                "-v",
                "ON_ERROR_STOP=1",
            ],
            statements,
        );
        await user(
            "redis-cli -h redis set text value ex 100000 && redis-cli -h redis rpush list 1 2 3 && redis-cli -h redis hset hash a 1 && redis-cli -h redis zadd sorted 1.5 member",
        );
        await user(
            "mosquitto_pub -h mosquitto -r -t a/b -m one && mosquitto_pub -h mosquitto -r -t c -m two",
        );
        before = await seen();
    });
    afterAll(async () => {
        await stack.remove();
        for (const path of [file, passphraseFile, clone]) {
            rmSync(path, { recursive: true, force: true });
        }
    });

    it("is made of a stack that runs, and goes on running", async () => {
        const { json } = await carbon("backup", "--to", file, ...withPassphrase);
        expect(json.manifest.parts).toEqual(
            expect.arrayContaining([
                expect.objectContaining({ name: "postgres", taken: "online" }),
                expect.objectContaining({ name: "redis", taken: "online" }),
                expect.objectContaining({ name: "home", taken: "paused" }),
            ]),
        );
        expect(statSync(file).mode & 0o777).toBe(0o600);
        expect(await states()).toEqual(["running", "running", "running", "running"]);
        await carbon("backup", "verify", file, ...withPassphrase);
    });

    it("lets every container go on where it is interrupted, and leaves no file", async () => {
        const half = `${file}.half`;
        // The home is next, from a paused workspace.
        const result = await stack.carbon(["backup", "--to", half, ...withPassphrase], {
            stopWhen: / {2}keys: /,
        });
        expect(result.exitCode).toBe(130);
        expect(await states()).toEqual(["running", "running", "running", "running"]);
        expect(readdirSync(tmpdir()).filter((name) => join(tmpdir(), name).startsWith(half))).toEqual([]);
    });

    it("is refused with another passphrase or a byte changed, and nothing is touched", async () => {
        const bytes = readFileSync(file);
        bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
        const broken = `${file}.broken`;
        writeFileSync(broken, bytes);
        const { Id } = await stack.inspect("postgres");
        const result = await stack.carbon(["restore", broken, ...withPassphrase]);
        rmSync(broken);
        expect(result.exitCode).toBe(1);
        expect(result.said).toContain("is damaged or cut short");
        expect((await stack.inspect("postgres")).Id).toBe(Id);
        expect(await seen()).toEqual(before);
    });

    it("brings everything back where containers, volumes, state and clone are gone, to another version of the images", async () => {
        const { json: logins } = await carbon("credentials");
        const image = (await stack.inspect("postgres")).Image;
        await carbon("down", "--volumes");
        rmSync(clone, { recursive: true });
        await makeClone(
            `carbon-${name}-clone`,
            "dockerfiles/base/rootfs/databases/etc/carbon/services/redis/log-drop",
        );
        await carbon("restore", file, ...withPassphrase);
        expect((await stack.inspect("postgres")).Image).not.toBe(image);
        expect(await seen()).toEqual(before);
        const { fingerprints: _, ...same } = (await carbon("credentials")).json;
        expect(logins).toMatchObject(same);
    });

    it("gives back one service, which keeps the stack's password, and leaves the others alone", async () => {
        await carbon("credentials", "rotate", "postgres");
        await user("psql -c 'DROP TABLE numbers'; redis-cli -h redis set later 1");
        await carbon("restore", file, "--only", "postgres", ...withPassphrase);
        expect(await seen()).toEqual(before);
        expect(await user("redis-cli -h redis get later")).toBe("1");
    });

    it("is begun anew by the next restore where one was interrupted", async () => {
        const result = await stack.carbon(["restore", file, ...withPassphrase], {
            stopWhen: /\n {2}redis: .*\n[\s\S]*\n {2}redis: /,
        });
        expect(result.exitCode).toBe(130);
        await carbon("restore", file, ...withPassphrase);
        expect(await seen()).toEqual(before);
    });

    it("is made of a stack that is stopped or down", async () => {
        for (const command of ["stop", "down"]) {
            await carbon(command);
            const { json } = await carbon("backup", "--to", file, ...withPassphrase);
            const taken = json.manifest.parts.flatMap((part: { taken?: string }) => part.taken ?? []);
            expect(new Set(taken)).toEqual(new Set(["as it lay"]));
        }
        await carbon("restore", file, ...withPassphrase);
        expect(await seen()).toEqual(before);
    });
});
