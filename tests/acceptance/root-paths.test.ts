import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type Docker from "dockerode";
import { execa, execaSync } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
    exec,
    makeVolume,
    type RoleArgs,
    remove,
    removeAll,
    run,
    startRole,
    until,
} from "../image/base-container";
import { baseImage, caSecret, onlyListed, readImageJson } from "../image/base-image";
import { computeImage } from "../image/compute-image";

/**
 * Root of a container does nothing through a path that its users control: who owns a folder can put a link to anywhere
 * into it. Each role is watched while it starts, so that no list of paths has to be kept here; then its user puts links
 * at every path that was touched in such places.
 */

const base = baseImage();
const compute = computeImage();
const inBase = readImageJson(base).toolsets;
const inCompute = readImageJson(compute).toolsets;

/** A role as the tests start it. */
interface Role {
    role: string;
    image: string;
    /** Who its service runs as, and where that user's volumes are. */
    user: string;
    volumes: string[];
    /** The services that it is told of. */
    services?: string[];
    /** Whether it takes the user's ids by CARBON_UID. */
    mapsUser?: boolean;
}

const databases: Role[] = inBase.includes("databases")
    ? [
          { role: "postgres", image: base, user: "postgres", volumes: ["/var/lib/postgresql/data"] },
          { role: "redis", image: base, user: "redis", volumes: ["/var/lib/redis"] },
          { role: "mosquitto", image: base, user: "mosquitto", volumes: ["/var/lib/mosquitto"] },
      ]
    : [];
const spark: Role[] = inCompute.includes("spark")
    ? [
          {
              role: "spark-master",
              image: compute,
              user: "carbon",
              volumes: ["/var/lib/spark/events"],
              mapsUser: true,
          },
          { role: "spark-worker", image: compute, user: "carbon", volumes: [], mapsUser: true },
      ]
    : [];
const llm: Role[] = inCompute.includes("llm")
    ? [{ role: "llm", image: compute, user: "carbon", volumes: ["/models"] }]
    : [];
const workspace: Role = {
    role: "workspace",
    image: compute,
    user: "carbon",
    volumes: ["/home/carbon", "/workspace", "/var/lib/spark/events"],
    services: ["postgres", "redis", "mosquitto", "spark-master"],
    mapsUser: true,
};
const roles = [workspace, ...databases, ...spark, ...llm];
const settings = roles.flatMap((role) => ["off", "on"].map((tls) => ({ ...role, name: role.role, tls })));

const tool = "/root_paths.py";
const outside = "/srv/outside";
const otherIds = { CARBON_UID: "501", CARBON_GID: "20" };

/** What `root_paths.py watched` says. */
interface Watched {
    /** Accesses of root's that somebody else could have bent. */
    followed: string[];
    /** What any process touched in places of somebody else's. */
    touched: { path: string; kind: "folder" | "file" | "missing" }[];
}

/** Puts Debian's strace with its libraries, made for the image, into a folder on this machine. */
function fetchStrace(folder: string): void {
    const apt = "apt-get -o Acquire::https::CAInfo=/run/secrets/ca";
    const libraries =
        "ldd /usr/bin/strace | grep --only-matching '/lib[^ ]*/lib\\(unwind\\|lzma\\|dw\\|elf\\)[^ ]*'";
    execaSync("docker", ["buildx", "build", ...caSecret(), `--output=${folder}`, "--file=-", "tests/image"], {
        input: [
            // By its tag: BuildKit does not find a local image by a digest.
            `FROM ${base.replace(/@.*/, "")} AS strace`,
            `RUN --mount=type=secret,id=ca ${apt} update && ${apt} install --yes strace \\`,
            `    && mkdir /strace && cp --dereference /usr/bin/strace $(${libraries}) /strace/`,
            "FROM scratch",
            "COPY --from=strace /strace /",
        ].join("\n"),
    });
}

/**
 * A command under strace, with every path that it and its children give to the kernel in files /trace/NAME.PID. The
 * libraries are strace's alone.
 */
function watch(name: string, ...command: string[]): string[] {
    const calls = "%file,%process,%creds,fchdir,connect,bind";
    const options = ["-E", "LD_LIBRARY_PATH", "-ff", "--seccomp-bpf", "-y", "-e", `trace=${calls}`];
    return [
        "env",
        "LD_LIBRARY_PATH=/strace",
        "/strace/strace",
        ...options,
        "-o",
        `/trace/${name}`,
        ...command,
    ];
}

describe.runIf(roles.length > 0)("root", () => {
    const folder = mkdtempSync(join(tmpdir(), "carbon-strace-"));

    beforeAll(() => {
        if (!onlyListed) {
            fetchStrace(folder);
        }
    });

    afterAll(async () => {
        await removeAll();
        rmSync(folder, { recursive: true });
    });

    describe.each(settings)(
        "in $name with TLS $tls",
        ({ role, image, user, volumes, services, mapsUser, tls }) => {
            let plan: Watched["touched"];

            const startWith = (binds: string[], more: Partial<RoleArgs> = {}) =>
                startRole({
                    image,
                    role,
                    stack: { tls: tls === "on", services },
                    ...more,
                    binds: [...binds, `${join(__dirname, "root_paths.py")}:${tool}:ro`],
                });

            async function makeBinds(): Promise<string[]> {
                return Promise.all(
                    [...volumes, "/var/lib/carbon/keys"].map(async (path) => `${await makeVolume()}:${path}`),
                );
            }

            it("follows no path of its users', neither when it starts nor when it is asked for its health", async () => {
                const binds = await makeBinds();
                const seen: Watched[] = [];
                for (const ids of mapsUser ? [{}, otherIds] : [{}]) {
                    const container = await startWith(
                        [...binds, `${folder}:/strace:ro`, `${await makeVolume()}:/trace`],
                        {
                            entrypoint: ["/usr/bin/tini", "--", ...watch("start", "carbon-entrypoint")],
                            env: ids,
                        },
                    );
                    await untilStarted(container);
                    await untilSettled(container);
                    await exec(container, watch("health", "carbon-health"));
                    if (role === "workspace") {
                        const only = "--only=platform,opengl,jupyter,code-server,novnc,ssh";
                        await exec(container, watch("verify", "carbon-verify", only));
                    }
                    for (const name of ["start", "health", "verify"]) {
                        seen.push(await readWatched(container, name));
                    }
                    await remove(container);
                }
                const touched = new Map(
                    seen.flatMap((watched) => watched.touched).map((entry) => [entry.path, entry]),
                );
                plan = [...touched.values()];
                expect(plan.length).toBeGreaterThan(0);
                expect(seen.flatMap((watched) => watched.followed)).toEqual([]);
            });

            it("changes nothing outside where its users put links, however it starts again", async () => {
                const binds = [...(await makeBinds()), `${await makeVolume()}:${outside}`];
                const leaves = plan.filter(
                    ({ path }) => !plan.some((other) => other.path.startsWith(`${path}/`)),
                );
                const tops = plan.filter(
                    ({ path }) => !plan.some((other) => path.startsWith(`${other.path}/`)),
                );

                const first = await startWith(binds);
                await untilStarted(first);
                await runTool(first, "sentinels", plan);
                const before = await run(first, ["python3", "-I", tool, "state", outside]);
                const check = async (container: Docker.Container) => {
                    await untilStarted(container);
                    await exec(container, ["carbon-health"]).catch(() => undefined);
                    expect(await stateOf(container, binds)).toEqual(JSON.parse(before));
                };

                expect(Number(await runTool(first, "plant", leaves, user))).toBeGreaterThan(0);
                await first.restart({ t: 30 });
                await check(first);
                await remove(first);

                const second = await startWith(binds, { env: mapsUser ? otherIds : {} });
                await check(second);
                if ((await second.inspect()).State.Running) {
                    await runTool(second, "plant", tops, user);
                    await second.restart({ t: 30 });
                    await check(second);
                    const secret = await exec(second, ["ls", "/run/carbon/secrets"], user).catch(
                        () => undefined,
                    );
                    expect(secret?.code).not.toBe(0);
                }
                await remove(second);
            });

            /** Until the role's services are being started, or the container has given up. */
            async function untilStarted(container: Docker.Container): Promise<void> {
                await until("the start", 120, async () => {
                    const { State } = await container.inspect();
                    return !State.Running || (await exec(container, ["pgrep", "-x", "s6-svscan"])).code === 0;
                });
            }

            /** Until the services have touched their users' places, and no new ones: they may have only just begun. */
            async function untilSettled(container: Docker.Container): Promise<void> {
                let before = 0;
                await until("the services' own paths", 120, async () => {
                    const last = before;
                    before = (await readWatched(container, "start")).touched.length;
                    return before > 0 && before === last;
                });
            }

            async function readWatched(container: Docker.Container, name: string): Promise<Watched> {
                return JSON.parse(await run(container, ["python3", "-I", tool, "watched", `/trace/${name}`]));
            }

            /** Runs root_paths.py with the plan on stdin. */
            async function runTool(
                container: Docker.Container,
                command: string,
                entries: Watched["touched"],
                as = "root",
            ): Promise<string> {
                const { stdout } = await execa(
                    "docker",
                    [
                        "exec",
                        "--interactive",
                        "--user",
                        as,
                        container.id,
                        "python3",
                        "-I",
                        tool,
                        command,
                        outside,
                    ],
                    { input: JSON.stringify(entries) },
                );
                return stdout;
            }

            /** The state of the sentinels, whether the container runs or not. */
            async function stateOf(container: Docker.Container, binds: string[]): Promise<unknown> {
                const volume = binds.find((bind) => bind.endsWith(`:${outside}`)) as string;
                const { stdout } = await execa("docker", [
                    ...[
                        "run",
                        "--rm",
                        "--volume",
                        volume,
                        "--volume",
                        `${join(__dirname, "root_paths.py")}:${tool}:ro`,
                    ],
                    ...[(await container.inspect()).Image, "python3", "-I", tool, "state", outside],
                ]);
                return JSON.parse(stdout);
            }
        },
    );
});
