import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { everyService } from "../../../catalogue";
import { look } from "../../../cli/checks/ports";
import { container, healthyDocker, obedientPulumi, running, sandbox } from "./harness";

function ill(name: string, Output: string, more: Record<string, unknown> = {}) {
    const Health = { Status: "unhealthy", FailingStreak: 3, Log: [{ ExitCode: 1, Output }] };
    const State = { ...container(name).State, Health };
    return container(name, {}, { State, ...more });
}

describe("carbon status", () => {
    it("says restarts and the last error under the table, and in the document", async () => {
        const box = sandbox();
        box.install("docker", [
            ...running(
                ill("postgres", "postgres is ill:\n \u001b[2Jno answer\n", { RestartCount: 3 }),
                container("workspace"),
            ),
            ...healthyDocker,
        ]);
        const { stdout, exitCode } = await box.carbon(["status"]);
        expect(exitCode).toBe(1);
        expect(stdout).toContain("postgres: started again 3 times; last error: postgres is ill:");
        expect(stdout).not.toContain("\u001b[2J");
        const { services } = JSON.parse((await box.carbon(["status", "--json"])).stdout);
        expect(services).toMatchObject([
            { service: "workspace", restarts: 0 },
            { service: "postgres", restarts: 3, lastError: expect.stringContaining("no answer") },
        ]);
    });
});

describe("carbon status beside a damaged state file", () => {
    it("says what Docker says, and warns of the file", async () => {
        const box = sandbox();
        box.configure({ services: [], toolsets: ["databases"], compute: false });
        box.install("docker", [...running(container("workspace")), ...healthyDocker]);
        box.saveState("dev", []);
        writeFileSync(box.stateFile("dev"), "{");
        const { exitCode, stdout, stderr } = await box.carbon(["status", "--json"]);
        expect(exitCode, stderr).toBe(0);
        expect(JSON.parse(stdout).services).toMatchObject([{ service: "workspace", health: "healthy" }]);
        expect(JSON.parse(stdout).updated).toBeUndefined();
        expect(stderr).toMatch(/^! The state file .*dev\.json is cut short or damaged/);
    });
});

describe("carbon up", () => {
    it("ends with 1 where a container ends after the engine is done, and says how", async () => {
        const box = sandbox();
        box.configure({ portOffset: 21_300, toolsets: ["databases"], compute: false, verify: "off" });
        const State = { Status: "exited", ExitCode: 137, OOMKilled: true, FinishedAt: "", Error: "" };
        box.install("docker", [
            { match: "^start ", stdout: "" },
            ...running(container("workspace"), container("redis", {}, { State })),
            ...healthyDocker,
        ]);
        box.install("pulumi", obedientPulumi);
        const { exitCode, stderr } = await box.carbon(["up", "--yes"]);
        expect(exitCode).toBe(1);
        expect(stderr).toContain("redis does not stay up. Type: ./carbon logs redis");
        expect(stderr).toContain("redis: killed for want of memory");
    });
});

/** A server that says something to whoever connects. */
async function server(greet: (socket: Socket) => void): Promise<number> {
    const listening = createServer((socket) => {
        socket.on("error", () => undefined);
        greet(socket);
    });
    onTestFinished(() => void listening.close());
    await new Promise<void>((resolve) => listening.listen(0, "127.0.0.1", resolve));
    const address = listening.address();
    return typeof address === "object" && address ? address.port : 0;
}

describe("carbon verify --target host", () => {
    it("asks each published port in its protocol, from this machine", async () => {
        const ssh = await server((socket) => socket.write("SSH-2.0-OpenSSH_10.0\r\n"));
        const redis = await server((socket) =>
            socket.on("data", () => socket.write("-NOAUTH Authentication required.\r\n")),
        );
        const deaf = await server((socket) => socket.end());
        const box = sandbox();
        box.install("docker", [
            { match: "^context inspect ", stdout: "unix:///var/run/docker.sock\n" },
            ...running(
                container("workspace", { "2222/tcp": ssh }),
                container("redis", { "6379/tcp": redis }),
                container("postgres", { "5432/tcp": deaf }),
            ),
            ...healthyDocker,
        ]);
        const only = "port-ssh,port-redis,port-postgres";
        const { stdout } = await box.carbon(["verify", "--target", "host", "--only", only, "--json"]);
        expect(JSON.parse(stdout).checks).toMatchObject([
            { id: "port-ssh", status: "PASS", observed: "SSH-2.0-OpenSSH_10.0" },
            { id: "port-postgres", status: "FAIL", observed: "the connection is closed without a word" },
            { id: "port-redis", status: "PASS", observed: "-NOAUTH" },
        ]);
        const far = await box.carbon(["verify", "--target", "host", "--only", "port-ssh", "--json"], {
            DOCKER_HOST: "ssh://me@far.example.com",
        });
        expect(JSON.parse(far.stdout).checks).toMatchObject([
            {
                status: "SKIP",
                observed:
                    "Docker runs at ssh://far.example.com, which publishes the ports there; `carbon tunnel` brings them here",
            },
        ]);
    });
});

describe("a look at a port", () => {
    it("ends with its connection where the server sends a byte now and then", async () => {
        let closed: Promise<void> | undefined;
        const port = await server((socket) => {
            const trickle = setInterval(() => socket.write("."), 50);
            closed = new Promise((resolve) =>
                socket.once("close", () => {
                    clearInterval(trickle);
                    resolve();
                }),
            );
        });
        const spec = everyService.flatMap(({ ports }) => ports).find(({ name }) => name === "ssh");
        if (!spec) {
            throw new Error("no port of SSH's");
        }
        const published = { spec, service: "workspace", address: "127.0.0.1", port, tls: false };
        await expect(look(published, 1)).rejects.toThrow("no answer within 1 s");
        await closed;
    });
});

describe("carbon watch", () => {
    it("says the present state, what happens, and that Docker is away; until Ctrl-C", async () => {
        const box = sandbox();
        const attributes = { "carbon.stack": "dev", "carbon.service": "redis", exitCode: "137" };
        const event = {
            Type: "container",
            Action: "die",
            Actor: { ID: "1", Attributes: attributes },
            time: 1_767_225_600,
        };
        const made = {
            Type: "network",
            Action: "create",
            Actor: { ID: "strange", Attributes: { name: "carbon-dev" } },
            time: 1_767_225_600,
        };
        box.install("docker", [
            {
                match: "^events .*--filter event=die .*--filter event=create",
                stdout: `${JSON.stringify(event)}\n${JSON.stringify(made)}\n`,
            },
            { match: "^network inspect .* strange$", stdout: "\n" },
            { match: "^version ", code: 1 },
            ...running(container("redis")),
            ...healthyDocker,
        ]);
        const started = box.start(["watch", "--json"]);
        let said = "";
        started.stdout.on("data", (chunk: Buffer) => {
            said += chunk.toString();
            if (said.includes('"lost"')) {
                started.kill("SIGINT");
            }
        });
        const { exitCode } = await started;
        expect(exitCode).toBe(0);
        const lines = said
            .trim()
            .split("\n")
            .map((line) => JSON.parse(line));
        expect(lines).toMatchObject([
            { event: "state", text: "redis: all well", services: [{ service: "redis", health: "healthy" }] },
            { service: "redis", event: "die", exitCode: 137, good: false, time: "2026-01-01T00:00:00.000Z" },
            { service: "network", text: "carbon-dev made, which is not the stack's", good: false },
            { service: "docker", event: "lost" },
        ]);
    });
});

describe("carbon clean", () => {
    /** As Docker prints a time. */
    const at = (time: Date) => `${time.toISOString().slice(0, 19).replace("T", " ")} +0000 UTC`;
    const listed = (tag: string, time = new Date(Date.now() - 25 * 3_600_000), digest = "<none>") =>
        JSON.stringify({
            Repository: "localhost/carbon/base",
            Tag: tag,
            Digest: digest,
            ID: "sha256:1",
            Size: "1.5GB",
            CreatedAt: at(time),
        });
    const foreign = listed("x").replace("localhost/carbon", "example.com");
    const pulled = listed("<none>", undefined, "sha256:2");
    const young = listed("young", new Date(Date.now() - 23 * 3_600_000));

    function littered() {
        const box = sandbox();
        const tags = ["run", "old", "others"];
        box.install("docker", [
            {
                match: "^image ls ",
                stdout: `${[...tags.map((tag) => listed(tag)), listed("before", new Date()), pulled, young, foreign].join("\n")}\n`,
            },
            { match: "^buildx du ", stdout: "ID\nReclaimable:\t2.5GB\nTotal:\t\t3GB\n" },
            { match: "^ps .*label=carbon.helper", stdout: "leftover\n" },
            { match: "^(image rm|rm|buildx prune) ", stdout: "" },
            ...running(
                container("workspace", {}, { Config: { Labels: {}, Image: "localhost/carbon/base:run" } }),
            ),
            ...healthyDocker,
        ]);
        box.saveState("others", ["localhost/carbon/base:others"]);
        const before = {
            at: "2026-01-01T00:00:00.000Z",
            images: { base: { ref: "localhost/carbon/base:before" } },
        };
        const generations = join(box.dir, ".carbon", "generations");
        mkdirSync(generations, { recursive: true });
        writeFileSync(
            join(generations, "dev.json"),
            JSON.stringify({ schema: 1, stack: "dev", previous: before }),
        );
        mkdirSync(join(box.dir, ".carbon", "logs"));
        writeFileSync(join(box.dir, ".carbon", "logs", "setup.log"), "text");
        return box;
    }

    const removals = (commands: string[]) =>
        commands.filter((command) => /^(image rm|rm|buildx prune) /.test(command));

    it("says what nobody needs, removes it, and leaves what others have", async () => {
        const box = littered();
        const { exitCode, stdout, stderr } = await box.carbon(["clean", "--yes", "--json"]);
        expect(exitCode, stderr).toBe(0);
        expect(JSON.parse(stdout)).toMatchObject({
            stack: "dev",
            reclaimable: 5.5e9 + 4,
            removed: [
                { kind: "images", what: "localhost/carbon/base:old", bytes: 1.5e9 },
                { kind: "images", what: "localhost/carbon/base@sha256:2", bytes: 1.5e9 },
                { kind: "cache", bytes: 2.5e9 },
                { kind: "logs", what: ".carbon/logs/setup.log" },
                { kind: "leftovers", what: "container leftover" },
            ],
            freed: 5.5e9 + 4,
        });
        expect(removals(box.commands("docker"))).toEqual([
            "image rm localhost/carbon/base:old",
            "image rm localhost/carbon/base@sha256:2",
            "buildx prune --builder default --all --force",
            "rm leftover",
        ]);
    });

    it("removes nothing without a yes, nor in a dry run", async () => {
        const box = littered();
        expect((await box.carbon(["clean"])).exitCode).toBe(2);
        const all = await box.carbon(["clean", "images", "--previous", "--dry-run", "--json"]);
        expect(JSON.parse(all.stdout)).toMatchObject({ stack: "dev", reclaimable: 4.5e9, removed: [] });
        expect(JSON.parse(all.stdout).found.map(({ what }: { what: string }) => what)).toEqual([
            "localhost/carbon/base:old",
            "localhost/carbon/base:before",
            "localhost/carbon/base@sha256:2",
        ]);
        expect(removals(box.commands("docker"))).toEqual([]);
    });

    it("knows half-written files by their names and places, and takes no others", async () => {
        const box = littered();
        const uuid = randomUUID();
        const own = (...names: string[]) => join(".carbon", ...names);
        const drafts = [
            own("carbon-dev-2026-01-31T1200.age.part"),
            own(`passphrase.${uuid}.tmp`),
            own("generations", `dev.json.${uuid}.tmp`),
            own("state", `.lock.${uuid}.tmp`),
            own("state", `machines.json.${uuid}.tmp`),
            own("state", ".pulumi", "stacks", "carbon", `dev.json.${uuid}.tmp`),
            `Pulumi.dev.yaml.${uuid}.tmp`,
        ];
        const others = [
            own("passphrase"),
            own("state", "machines.json"),
            own("state", ".pulumi", "stacks", "carbon", "dev.json.bak"),
            "carbon-dev-2026-01-31T1200.age",
            `notes.${uuid}.tmp`,
            "my.json.tmp",
        ];
        const young = own("generations", `other.json.${uuid}.tmp`);
        const before = new Date(Date.now() - 2 * 3_600_000);
        for (const name of [...drafts, ...others, young]) {
            writeFileSync(join(box.dir, name), "x");
            if (name !== young) {
                utimesSync(join(box.dir, name), before, before);
            }
        }
        const { stdout } = await box.carbon(["clean", "leftovers", "--yes", "--json"]);
        const files = JSON.parse(stdout)
            .removed.map(({ what }: { what: string }) => what)
            .filter((what: string) => !what.startsWith("container "));
        expect(files.sort()).toEqual([...drafts].sort());
        expect(drafts.filter((name) => existsSync(join(box.dir, name)))).toEqual([]);
        expect([...others, young].every((name) => existsSync(join(box.dir, name)))).toBe(true);
    });
});
