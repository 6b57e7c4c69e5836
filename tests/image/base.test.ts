import { once } from "node:events";
import { connect } from "node:net";
import type Docker from "dockerode";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
    docker,
    exec,
    hostPort,
    logs,
    makeNetwork,
    makeVolume,
    putSecret,
    type RoleArgs,
    remove,
    removeAll,
    run,
    secrets,
    ssh,
    startHealthy,
    startRole,
    stop,
    until,
    untilHealthy,
} from "./base-container";
import { baseImage, buildBase, readImageJson } from "./base-image";
import { helloWorlds, jointHelloWorlds } from "./base-programs";

const image = baseImage();
const imageJson = readImageJson(image);
const { toolsets } = imageJson;
const hasDesktop = toolsets.includes("desktop");

afterAll(removeAll);

function startWorkspace(args: Partial<RoleArgs> = {}) {
    return startHealthy({ image, role: "workspace", ports: [2222], ...args });
}

describe("the image", () => {
    it("says in image.json what it is", async () => {
        const { Os, Architecture } = await docker.getImage(image).inspect();
        expect(imageJson).toEqual({
            image: "base",
            platform: `${Os}/${Architecture}`,
            toolsets: expect.any(Array),
            unavailable: expect.any(Array),
        });
        expect(toolsets.filter((toolset) => imageJson.unavailable.includes(toolset))).toEqual([]);
    });

    it("refuses a root image that is not Debian 13, with the reason", async () => {
        // The check's own words: a build of a foreign root would need one at hand.
        const check = await execa(
            "docker",
            [
                "run",
                "--rm",
                "--volume",
                `${process.cwd()}/dockerfiles/build/apt/check-root:/check-root:ro`,
                image,
                "sh",
                "-c",
                "sed -i s/trixie/bookworm/g /etc/os-release && /check-root",
            ],
            { reject: false },
        );
        expect(check.exitCode).toBe(1);
        expect(check.stderr).toContain("ROOT_IMAGE must be Debian 13 (trixie)");
    });

    it("refuses a toolset switch that is neither true nor false", () => {
        expect(() => buildBase("docker.io/carbon/base:test-refused", [], { TOOLSET_GO: "yes" })).toThrow(
            "toolset go: expected true or false, got 'yes'",
        );
    });

    it("has no world-writable files outside /tmp", async () => {
        const found = await execa("docker", [
            "run",
            "--rm",
            image,
            "find",
            "/",
            "-xdev",
            ...["-path", "/proc", "-prune", "-o"],
            ...["-perm", "-0002", "!", "-type", "l", "!", "-type", "c"],
            ...["!", "-path", "/tmp", "!", "-path", "/var/tmp", "!", "-path", "/run/lock"],
            // The folder of X's sockets, sticky as /tmp is.
            ...["!", "-path", "/tmp/.X11-unix", "-print"],
        ]);
        expect(found.stdout).toBe("");
    });

    it("has only Debian's own setuid programs", async () => {
        const found = await execa("docker", [
            "run",
            "--rm",
            image,
            "find",
            "/usr",
            "-xdev",
            "-perm",
            "/4000",
        ]);
        const debian = ["chfn", "chsh", "gpasswd", "mount", "newgrp", "passwd", "su", "sudo", "umount"];
        const expected = [...debian.map((name) => `/usr/bin/${name}`), "/usr/lib/openssh/ssh-keysign"];
        if (hasDesktop) {
            expected.push(
                "/usr/bin/fusermount3",
                "/usr/bin/ntfs-3g",
                "/usr/bin/pkexec",
                "/usr/lib/dbus-1.0/dbus-daemon-launch-helper",
                "/usr/lib/polkit-1/polkit-agent-helper-1",
            );
        }
        expect(expected).toEqual(expect.arrayContaining(found.stdout.split("\n")));
    });

    it("runs any other command as given", async () => {
        const { stdout } = await execa("docker", [
            "run",
            "--rm",
            image,
            "bash",
            "-c",
            'echo "$0 $1"',
            "a",
            "b c",
        ]);
        expect(stdout).toBe("a b c");
    });
});

describe("languages", () => {
    let container: Docker.Container;

    beforeAll(async () => {
        container = await startWorkspace();
    });

    const programs = [
        ...["always", ...toolsets].flatMap((toolset) => helloWorlds[toolset] ?? []),
        ...jointHelloWorlds
            .filter((joint) => joint.toolsets.every((toolset) => toolsets.includes(toolset)))
            .map(({ program }) => program),
    ];
    const unavailable = imageJson.unavailable.flatMap((toolset) => helloWorlds[toolset] ?? []);

    it.skip.each(unavailable)("not run here, its vendor could not be reached: $file", () => {});

    it.each(programs)("compiles and runs $file", async ({ file, source, command }) => {
        const script = `mkdir -p ~/hello && cd ~/hello && printf %s "$SOURCE" > ${file} && ${command}`;
        const result = await exec(container, ["bash", "-lc", script], "carbon", [
            `SOURCE=${source}`,
            "HOME=/home/carbon",
        ]);
        expect(result).toMatchObject({ code: 0, output: expect.stringContaining("hello from") });
    });

    it.runIf(toolsets.includes("graphics"))("renders OpenGL and Vulkan in software", async () => {
        const renderer = hasDesktop ? [] : ["xvfb-run", "--auto-servernum"];
        expect(await run(container, [...renderer, "glxinfo", "-B"], "carbon")).toContain("llvmpipe");
        expect(await run(container, ["vulkaninfo", "--summary"], "carbon")).toMatch(/apiVersion\s+= 1\.4/);
    });
});

describe("the workspace role", () => {
    it("refuses to start without its secret, in one sentence", async () => {
        const container = await startRole({ image, role: "workspace", secrets: {} });
        expect((await container.wait()).StatusCode).toBe(1);
        expect(await logs(container)).toBe(
            "carbon: workspace refuses to start: its secret /run/carbon/secrets/ssh is missing.",
        );
    });

    it("keeps its SSH host key with the volume of keys", async () => {
        const keys = await makeVolume();
        const key = "/var/lib/carbon/keys/ssh/ssh_host_ed25519_key.pub";
        const first = await startWorkspace({ binds: [`${keys}:/var/lib/carbon/keys`] });
        const made = await run(first, ["cat", key]);
        await remove(first);
        const second = await startWorkspace({ binds: [`${keys}:/var/lib/carbon/keys`] });
        expect(await run(second, ["cat", key])).toBe(made);
        expect(await run(second, ["stat", "--format=%U %a", key.replace(".pub", "")])).toBe("root 600");
    });

    it("runs as another uid and owns a home volume of an older one", async () => {
        const home = await makeVolume();
        const binds = [`${home}:/home/carbon`];
        const older = await startWorkspace({ binds });
        await run(older, ["touch", "/home/carbon/kept"], "carbon");
        await run(older, ["rm", "/home/carbon/.zshrc"], "carbon");
        await remove(older);

        const newer = await startWorkspace({ binds, env: { CARBON_UID: "501", CARBON_GID: "20" } });
        const seen = await ssh(
            await hostPort(newer, 2222),
            "carbon",
            secrets.ssh,
            "id -u; id -g; stat -c %u:%g ~/kept ~/.zshrc /workspace; touch ~/new",
        );
        expect(seen.split("\n")).toEqual(["501", "20", "501:20", "501:20", "501:20"]);
    });

    it("starts with a read-only /workspace", async () => {
        const workspace = await makeVolume();
        await startWorkspace({ binds: [`${workspace}:/workspace:ro`] });
    });

    it("refuses a uid that is not a number above 0", async () => {
        const container = await startRole({ image, role: "workspace", env: { CARBON_UID: "0" } });
        expect((await container.wait()).StatusCode).toBe(1);
        expect(await logs(container)).toContain("must be numbers above 0, not '0'");
    });

    it("restarts three times and stops within 10 s each time, with a clean log", async () => {
        const container = await startWorkspace();
        for (let restart = 0; restart < 3; restart++) {
            await untilHealthy(container);
            expect(await stop(container)).toBeLessThan(10);
            await container.start();
        }
        await untilHealthy(container);
        const lines = (await logs(container)).split("\n");
        expect(lines.filter((line) => /\b(warn|warning|error|failed|denied)\b/i.test(line))).toEqual([]);
        expect(lines.filter((line) => !/^(ssh|vnc|rdp|novnc|desktop): /.test(line))).toEqual([]);
    });

    it("stops within 10 s with somebody logged in", async () => {
        const container = await startWorkspace();
        const session = ssh(await hostPort(container, 2222), "carbon", secrets.ssh, "echo in; sleep 300");
        await until("the login", 10, async () => (await exec(container, ["pgrep", "sleep"])).code === 0);
        expect(await stop(container)).toBeLessThan(10);
        await session;
    });

    it("hands over secrets that carbon reads, but neither owns nor can replace", async () => {
        const container = await startWorkspace({ secrets: { ssh: secrets.ssh, vnc: secrets.vnc } });
        const folder = "/run/carbon/user";
        expect(await run(container, ["stat", "--format=%U %G %a", folder, `${folder}/vnc`])).toBe(
            "root carbon 750\nroot carbon 440",
        );
        expect(await run(container, ["cat", `${folder}/vnc`], "carbon")).toBe(secrets.vnc);
        expect((await exec(container, ["ls", "/run/carbon/secrets"], "carbon")).code).not.toBe(0);
    });

    it("starts, and says so, where not everything can be copied into the home", async () => {
        const home = await makeVolume();
        const binds = [`${home}:/home/carbon`];
        const first = await startWorkspace({ binds });
        await run(first, ["sh", "-c", "rm ~/.zshrc && ln -s /root/x ~/.zshrc"], "carbon");
        await remove(first);
        const second = await startWorkspace({ binds });
        expect(await logs(second)).toContain("not everything of /etc/skel could be copied");
    });
});

describe("a running workspace", () => {
    let container: Docker.Container;

    beforeAll(async () => {
        container = await startWorkspace();
    });

    it("logs in over SSH with the password and refuses a wrong one", async () => {
        const port = await hostPort(container, 2222);
        expect(await ssh(port, "carbon", secrets.ssh, "id -un; echo $SHELL")).toBe("carbon\n/usr/bin/zsh");
        await expect(ssh(port, "carbon", "wrong", "id")).rejects.toThrow("authentication methods failed");
    });

    it("lets the right password in at once after ten wrong ones and with 25 connections that say nothing", async () => {
        const port = await hostPort(container, 2222);
        const silent = Array.from({ length: 25 }, () => connect(port, "127.0.0.1"));
        try {
            await Promise.all(silent.map((connection) => once(connection, "data")));
            for (let attempt = 0; attempt < 10; attempt++) {
                await expect(ssh(port, "carbon", "wrong", "id")).rejects.toThrow(
                    "authentication methods failed",
                );
            }
            expect(await ssh(port, "carbon", secrets.ssh, "id -un")).toBe("carbon");
        } finally {
            for (const connection of silent) {
                connection.destroy();
            }
        }
    });

    it("runs its check's programs as carbon, and imports nothing from where it is called", async () => {
        await run(container, ["sh", "-c", "echo 'raise SystemExit(9)' > /tmp/json.py"], "carbon");
        const result = await exec(container, ["sh", "-c", "cd /tmp && carbon-verify --only=ssh"], "root", [
            "PYTHONPATH=/tmp",
        ]);
        expect(result).toMatchObject({ code: 0 });
        const who =
            "import sys; sys.path[0] = '/usr/local/lib/carbon'; from verify.environment import Environment as E; e = E(); print(e.run('id', '-un').stdout); e.close()";
        expect(await run(container, ["python3", "-B", "-c", who])).toBe("carbon");
    });

    it("refuses root over SSH, even with a password", async () => {
        await run(container, ["sh", "-c", "echo root:root | chpasswd"]);
        await expect(ssh(await hostPort(container, 2222), "root", "root", "id")).rejects.toThrow(
            "authentication methods failed",
        );
    });

    it("asks for the password before sudo", async () => {
        expect((await exec(container, ["sudo", "-n", "true"], "carbon")).code).toBe(1);
        const sudo = `echo ${secrets.ssh} | sudo --stdin --prompt= id --user`;
        expect(await run(container, ["bash", "-c", sudo], "carbon")).toBe("0");
    });

    it("shows no secret in docker inspect, in the environment, on a command line or in the log", async () => {
        const places = [
            JSON.stringify(await container.inspect()),
            JSON.stringify(await docker.getImage(image).history()),
            await run(container, [
                "sh",
                "-c",
                "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | tr '\\0' '\\n'",
            ]),
            await logs(container),
        ];
        for (const secret of [secrets.ssh, secrets.vnc, secrets.desktop]) {
            expect(places.filter((place) => place.includes(secret))).toEqual([]);
        }
    });

    it("brings a killed service back, and health names the ill service", async () => {
        await run(container, ["s6-svc", "-d", "/run/carbon/service/ssh"]);
        await until(
            "sshd's end",
            10,
            async () => (await exec(container, ["pgrep", "-x", "sshd"])).code === 1,
        );
        const ill = await exec(container, ["carbon-health"]);
        expect(ill).toMatchObject({ code: 1, output: expect.stringMatching(/^ssh is ill: /) });
        await run(container, ["s6-svc", "-u", "/run/carbon/service/ssh"]);
        await untilHealthy(container, 10);
        await run(container, ["pkill", "-KILL", "-x", "sshd"]);
        await untilHealthy(container, 10);
    });
});

describe.runIf(toolsets.includes("databases"))("postgres", () => {
    const psql = (password: string, statement: string, query = "") => [
        "psql",
        "--no-psqlrc",
        "--tuples-only",
        "--no-align",
        "--quiet",
        `--command=${statement}`,
        `postgresql://carbon:${password}@127.0.0.1/carbon${query}`,
    ];

    const bind = (volume: string) => [`${volume}:/var/lib/postgresql/data`];
    const startPostgres = (volume: string, stack: RoleArgs["stack"] = {}) =>
        startHealthy({ image, role: "postgres", stack, binds: bind(volume) });

    it("refuses to start without its secret", async () => {
        const container = await startRole({ image, role: "postgres", secrets: {} });
        expect((await container.wait()).StatusCode).toBe(1);
        expect(await logs(container)).toBe(
            "carbon: postgres refuses to start: its secret /run/carbon/secrets/postgres is missing.",
        );
    });

    it("keeps a row over a restart and takes a new password", async () => {
        const volume = await makeVolume();
        const container = await startPostgres(volume);
        const statement =
            "CREATE EXTENSION vector; CREATE EXTENSION postgis; CREATE TABLE kept AS SELECT '[1,2]'::vector v";
        await run(container, psql(secrets.postgres, statement));
        expect(await stop(container)).toBeLessThan(10);
        await putSecret(container, "postgres", "AnotherPasswordAnother24");
        await container.start();
        await untilHealthy(container);
        expect(await run(container, psql("AnotherPasswordAnother24", "SELECT v FROM kept"))).toBe("[1,2]");
        const refused = await exec(container, psql(secrets.postgres, "SELECT 1"));
        expect(refused).toMatchObject({ output: expect.stringContaining("password authentication failed") });
        const log = await logs(container);
        expect(log).toContain("database system is shut down");
        expect(log).not.toMatch(/PASSWORD '|not properly shut down|warning/i);
    });

    it("makes the user carbon no superuser, who has a database and the extensions that people use", async () => {
        const container = await startPostgres(await makeVolume());
        const names = [
            "vector",
            "postgis",
            "postgis_raster",
            "address_standardizer",
            "pg_trgm",
            "hstore",
            "uuid-ossp",
            "pgcrypto",
        ];
        const statements = [
            ...names.map((name) => `CREATE EXTENSION "${name}"`),
            "CREATE TABLE program (line text)",
            "SELECT rolsuper FROM pg_roles WHERE rolname = current_user",
        ];
        expect(await run(container, psql(secrets.postgres, statements.join("; ")))).toBe("f");
        await run(container, psql(secrets.postgres, "CREATE DATABASE another"));
        for (const statement of [
            "COPY program FROM PROGRAM 'id'",
            "COPY program FROM '/etc/passwd'",
            "ALTER ROLE carbon SUPERUSER",
            // The setting is there once its library is.
            "SELECT postgis_raster_lib_version(); SET postgis.enable_outdb_rasters = on",
        ]) {
            const refused = await exec(container, psql(secrets.postgres, statement));
            expect(refused).toMatchObject({ output: expect.stringMatching(/permission denied/) });
        }
        const superuser = [
            "psql",
            "-U",
            "superuser",
            "-d",
            "postgres",
            "-tAc",
            "SELECT rolsuper FROM pg_roles WHERE rolname = current_user",
        ];
        expect(await run(container, superuser)).toBe("t");
        expect(await run(container, superuser, "postgres")).toBe("t");
        expect((await exec(container, superuser, "redis")).output).toContain("Peer authentication failed");
    });

    it("keeps a cluster of former versions, whose superuser is carbon", async () => {
        const volume = await makeVolume();
        const data = "/var/lib/postgresql/data";
        const bin = "/usr/lib/postgresql/17/bin";
        const made = `chown postgres ${data} && setpriv --reuid postgres --regid postgres --clear-groups sh -c "
            ${bin}/initdb --pgdata=${data}/17 --username=carbon --auth-local=peer --auth-host=scram-sha-256 > /dev/null &&
            echo 'CREATE DATABASE carbon;' | ${bin}/postgres --single -D ${data}/17 template1 > /dev/null"`;
        await execa("docker", ["run", "--rm", "--volume", `${volume}:${data}`, image, "sh", "-c", made]);
        const container = await startPostgres(volume);
        expect(await run(container, psql(secrets.postgres, "SHOW is_superuser"))).toBe("on");
    });

    it("starts again after it was killed", async () => {
        const container = await startPostgres(await makeVolume());
        await container.kill();
        await container.start();
        await untilHealthy(container);
    });

    it("stops within 10 s with a client connected", async () => {
        const container = await startPostgres(await makeVolume());
        const client = exec(container, psql(secrets.postgres, "SELECT pg_sleep(300)"));
        await until(
            "the query",
            10,
            async () => (await exec(container, ["pgrep", "--full", "postgres: carbon.*SELECT"])).code === 0,
        );
        expect(await stop(container)).toBeLessThan(10);
        await client;
    });

    it("refuses a plain connection with TLS on", async () => {
        const container = await startPostgres(await makeVolume(), { tls: true });
        expect(await run(container, psql(secrets.postgres, "SELECT 1", "?sslmode=require"))).toBe("1");
        const plain = await exec(container, psql(secrets.postgres, "SELECT 1", "?sslmode=disable"));
        expect(plain.output).toContain("no encryption");
    });

    it("refuses data of another major version", async () => {
        const volume = await makeVolume();
        await execa("docker", [
            ...["run", "--rm", "--volume", `${volume}:/data`, image],
            ...["sh", "-c", "mkdir /data/16 && echo 16 > /data/16/PG_VERSION"],
        ]);
        const container = await startRole({ image, role: "postgres", binds: bind(volume) });
        expect((await container.wait()).StatusCode).toBe(1);
        expect(await logs(container)).toContain("the volume holds data of PostgreSQL 16, this image has 17");
    });
});

describe.runIf(toolsets.includes("databases"))("redis", () => {
    const redisCli = (password: string, ...command: string[]) => [
        "env",
        `REDISCLI_AUTH=${password}`,
        "redis-cli",
        ...command,
    ];

    const startRedis = (volume: string, stack: RoleArgs["stack"] = {}) =>
        startHealthy({ image, role: "redis", stack, binds: [`${volume}:/var/lib/redis`] });

    it("refuses a wrong password", async () => {
        const container = await startRedis(await makeVolume());
        expect(await run(container, redisCli(secrets.redis, "PING"))).toBe("PONG");
        expect((await exec(container, redisCli("wrong", "PING"))).output).toContain("WRONGPASS");
        expect((await exec(container, ["redis-cli", "PING"])).output).toContain("NOAUTH");
    });

    it("keeps a value over a kill, stops within 10 s, and logs no warning", async () => {
        const container = await startRedis(await makeVolume());
        await run(container, redisCli(secrets.redis, "SET", "kept", "value"));
        await run(container, redisCli(secrets.redis, "WAITAOF", "1", "0", "5000"));
        await container.kill();
        await container.start();
        await untilHealthy(container);
        expect(await run(container, redisCli(secrets.redis, "GET", "kept"))).toBe("value");
        expect(await stop(container)).toBeLessThan(10);
        expect(await logs(container)).not.toMatch(/warning|error/i);
    });

    it("keeps its configuration from other users", async () => {
        const container = await startRedis(await makeVolume());
        expect(await run(container, ["stat", "--format=%U %a", "/run/carbon/redis.conf"])).toBe("root 440");
    });

    it("listens with TLS alone when it is on", async () => {
        const container = await startRedis(await makeVolume(), { tls: true });
        expect(await run(container, redisCli(secrets.redis, "--tls", "--insecure", "PING"))).toBe("PONG");
        expect((await exec(container, redisCli(secrets.redis, "PING"))).output).not.toContain("PONG");
    });
});

describe.runIf(toolsets.includes("databases"))("mosquitto", () => {
    const login = (password: string) => ["-u", "carbon", "-P", password];
    const publish = (text: string, ...options: string[]) => [
        ...["mosquitto_pub", "-r", "-t", "test/kept", "-m", text],
        ...options,
    ];
    const receive = (...options: string[]) => [
        ...["mosquitto_sub", "-t", "test/kept", "-C", "1", "-W", "10"],
        ...options,
    ];

    const startMosquitto = async (stack: RoleArgs["stack"] = {}) =>
        startHealthy({
            image,
            role: "mosquitto",
            stack,
            binds: [`${await makeVolume()}:/var/lib/mosquitto`],
        });

    it("refuses a wrong password, and whoever gives none", async () => {
        const container = await startMosquitto();
        await run(container, publish("hello", ...login(secrets.mosquitto)));
        expect(await run(container, receive(...login(secrets.mosquitto)))).toBe("hello");
        for (const options of [login("wrong"), []]) {
            const { code, output } = await exec(container, receive(...options));
            expect(code).not.toBe(0);
            expect(output).toMatch(/not authorised/i);
        }
    });

    it("keeps a retained message over a stop, which takes less than 10 s, and logs no warning", async () => {
        const container = await startMosquitto();
        await run(container, publish("kept", ...login(secrets.mosquitto)));
        expect(await stop(container)).toBeLessThan(10);
        await container.start();
        await untilHealthy(container);
        expect(await run(container, receive(...login(secrets.mosquitto)))).toBe("kept");
        const log = await logs(container);
        expect(log).not.toMatch(/warning|error/i);
        expect(log).not.toContain("carbon-health");
    });

    it("takes the password of the day", async () => {
        const container = await startMosquitto();
        await stop(container);
        await putSecret(container, "mosquitto", "another");
        await container.start();
        await untilHealthy(container);
        await run(container, publish("in", ...login("another")));
        expect((await exec(container, receive(...login(secrets.mosquitto)))).code).not.toBe(0);
    });

    it("keeps only a hash of the password where the broker can read it", async () => {
        const container = await startMosquitto();
        const passwords = await run(container, ["cat", "/run/carbon/mosquitto/passwords"]);
        expect(passwords).toMatch(/^carbon:\$7\$/);
        expect(passwords).not.toContain(secrets.mosquitto);
        expect(await run(container, ["stat", "--format=%U %a", "/run/carbon/mosquitto/mosquitto_sub"])).toBe(
            "root 600",
        );
    });

    it("is ill when the broker does not answer", async () => {
        const container = await startMosquitto();
        await run(container, ["s6-svc", "-d", "/run/carbon/service/mosquitto"]);
        const { code, output } = await exec(container, ["carbon-health"]);
        expect(code).toBe(1);
        expect(output).toContain("mosquitto is ill: ");
    });

    it("listens with TLS alone when it is on", async () => {
        const container = await startMosquitto({ tls: true });
        const tls = ["-p", "1883", "--cafile", "/run/carbon/tls/cert.pem"];
        await run(container, publish("by TLS", ...tls, ...login(secrets.mosquitto)));
        expect((await exec(container, receive(...login(secrets.mosquitto)))).code).not.toBe(0);
    });
});

describe.runIf(toolsets.includes("databases"))("clients in the workspace", () => {
    const roles = ["postgres", "redis", "mosquitto"] as const;

    async function startAll(tls: boolean): Promise<Docker.Container> {
        const network = await makeNetwork();
        const binds = [`${await makeVolume()}:/var/lib/carbon/keys`];
        await Promise.all(
            roles.map(async (role) => {
                const service = await startHealthy({ image, role, stack: { tls }, binds });
                await network.connect({ Container: service.id, EndpointConfig: { Aliases: [role] } });
            }),
        );
        const workspace = await startWorkspace({ stack: { tls, services: roles }, binds });
        await network.connect({ Container: workspace.id });
        return workspace;
    }

    const mqtt = "mosquitto_pub -h mosquitto -r -t a -m hello && mosquitto_sub -h mosquitto -t a -C 1 -W 10";

    it("reach the services by TLS, where the suite speaks it, without typing a password", async () => {
        const workspace = await startAll(true);
        const command = `psql -tAc 'SELECT 1 + 1'; redis-cli -h redis PING; ${mqtt}`;
        const seen = await ssh(await hostPort(workspace, 2222), "carbon", secrets.ssh, command);
        expect(seen.split("\n")).toEqual(["2", "PONG", "hello"]);
    });

    it("reach the services without typing a password", async () => {
        const workspace = await startAll(false);
        const command = [
            "psql -h postgres -tAc 'SELECT 1 + 1'",
            "redis-cli -h redis PING",
            "psql -tAc 'SELECT current_user'",
            mqtt,
        ].join("; ");
        const seen = await ssh(await hostPort(workspace, 2222), "carbon", secrets.ssh, command);
        expect(seen.split("\n")).toEqual(["2", "PONG", "carbon", "hello"]);
        // Neither does what has no login environment, as `docker exec` has none.
        expect(await run(workspace, ["psql", "-h", "postgres", "-tAc", "SELECT 2"], "carbon")).toBe("2");
    });
});
