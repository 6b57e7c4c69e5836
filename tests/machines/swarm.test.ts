import { chownSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { execa, execaSync } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { onlyListed, readImageJson } from "../image/base-image";
import { computeImage } from "../image/compute-image";
import { SecondEngine } from "../second-engine";

const image = computeImage();
const { toolsets } = readImageJson(image);
const project = path.resolve(__dirname, "../..");
const stack = "t-swarm";
const stackFile = path.join(project, `Pulumi.${stack}.yaml`);
const workspaceDir = path.join(tmpdir(), `carbon-${stack}`);
const service = `carbon-${stack}-spark-worker`;
/** In what the job moves from node to node. */
const mark = "carbon-plain-mark";

/** Programs for the workspace, with /workspace/results for what they find. */
const programs = {
    /** Joins and counts over every node; prints the hosts that took part and the result. */
    job: `
import json, socket, sys, time
from pyspark.sql import SparkSession
session = SparkSession.builder.appName("job").config("spark.dynamicAllocation.enabled", "false")
spark = session.config("spark.cores.max", "2").config("spark.sql.shuffle.partitions", "8").getOrCreate()
seconds = float(sys.argv[1])
def step(number):
    open("/workspace/started", "w").close()
    time.sleep(seconds)
    return socket.gethostname()
hosts = set(spark.sparkContext.parallelize(range(24), 24).map(step).collect())
left = spark.range(200000).selectExpr("id", "concat('${mark}-', id) as text").repartition(8)
count = left.join(spark.range(0, 200000, 2), "id").filter("length(text) > 3").count()
print("RESULT", json.dumps({"hosts": len(hosts), "count": count}))
spark.stop()`,

    /** A session with a secret of its own, which the master is not to let in. */
    stranger: `
from pyspark.sql import SparkSession
spark = SparkSession.builder.config("spark.authenticate.secret", "WrongSecretWrongSecret24").getOrCreate()
print("IN", spark.range(10).count())`,
};

const engines: SecondEngine[] = [];
/** Whether this kernel can encrypt an overlay network, which takes IPsec; tried in a network of its own. */
const hasIpsec =
    execaSync(
        "unshare",
        [
            ...["--net", "ip", "xfrm", "state", "add", "src", "192.0.2.1", "dst", "192.0.2.2"],
            ...["proto", "esp"],
            ...["spi", "1", "mode", "transport", "aead", "rfc4106(gcm(aes))", `0x${"0".repeat(40)}`, "64"],
        ],
        { reject: false },
    ).exitCode === 0;
let config: Record<string, unknown>;

const [manager, worker] = [() => engines[0] as SecondEngine, () => engines[1] as SecondEngine];

function configure(changes: Record<string, unknown>): void {
    config = { ...config, ...changes };
    const entries = Object.entries(config).map(([key, value]) => [`carbon:${key}`, value]);
    writeFileSync(stackFile, stringify({ config: Object.fromEntries(entries) }));
}

/** Runs `carbon` for the stack where the manager is on the network, as on that machine. */
async function carbon(...args: string[]) {
    const command = [process.execPath, "cli/carbon.js", ...args, "--stack", stack, "--yes", "--json"];
    const namespace = `--net=/run/netns/${manager().namespace}`;
    const options = { cwd: project, reject: false, env: { DOCKER_HOST: manager().host } } as const;
    const { exitCode, stdout, stderr } = await execa("nsenter", [namespace, ...command], options);
    return { exitCode, said: stderr, json: stdout ? JSON.parse(stdout) : undefined };
}

async function up() {
    const done = await carbon("up");
    expect(done.exitCode, done.said).toBe(0);
    return done;
}

async function nodeNamed({ name }: SecondEngine) {
    const { json } = await carbon("status");
    return json.cluster.nodes.find((node: { name: string }) => node.name === name);
}

/** Starts a program in the workspace as the user. */
function start(program: keyof typeof programs, ...args: string[]) {
    const command = ["exec", "--user", "carbon", `carbon-${stack}-workspace`, "bash", "-lc"];
    const line = ["python", `/workspace/${program}.py`, ...args].join(" ");
    return execa("docker", [...command, line], {
        env: { DOCKER_HOST: manager().host },
        all: true,
        reject: false,
    });
}

/** The same, to its end. @returns what a job found. */
async function finish(running: ReturnType<typeof start>) {
    const { all, exitCode } = await running;
    expect(exitCode, all).toBe(0);
    return JSON.parse(/^RESULT (.*)$/m.exec(String(all))?.[1] ?? "null");
}

async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
    await expect.poll(isSo, { timeout: 180_000, interval: 3000 }).toBe(true);
}

async function join(engine: SecondEngine): Promise<void> {
    const token = await manager().docker("swarm", "join-token", "--quiet", "worker");
    await engine.docker("swarm", "join", "--token", token, `${manager().address}:2377`);
}

/** What an engine's Swarm has of anybody's. */
async function swarmOf(engine: SecondEngine) {
    const [services, secrets, networks, nodes] = await Promise.all([
        engine.docker("service", "ls", "--quiet"),
        engine.docker("secret", "ls", "--quiet"),
        engine.docker("network", "ls", "--filter", "driver=overlay", "--format", "{{.Name}}"),
        engine.docker("node", "ls", "--format", "{{.ID}} {{.Availability}}"),
    ]);
    return { services, secrets, networks, nodes };
}

describe.runIf(toolsets.includes("spark"))("Spark on a Swarm", () => {
    beforeAll(async () => {
        if (onlyListed) {
            return;
        }
        rmSync(workspaceDir, { recursive: true, force: true });
        mkdirSync(workspaceDir, { mode: 0o700 });
        for (const [name, text] of Object.entries(programs)) {
            writeFileSync(path.join(workspaceDir, `${name}.py`), text);
        }
        chownSync(workspaceDir, 1000, 1000);
        for (const [index, options] of [{}, {}, { otherFolder: workspaceDir }].entries()) {
            engines.push(await SecondEngine.start(51 + index, { images: true, ...options }));
        }
        const digest = execaSync("docker", [
            "image",
            "inspect",
            "--format",
            "{{index .RepoDigests 0}}",
            image,
        ]).stdout;
        const held = `${image.replace(/@.*/, "")}@${digest.split("@")[1]}`;
        configure({
            workspaceDir,
            services: ["spark-master", "spark-worker"],
            cluster: "swarm",
            sparkWorkers: 2,
            sparkWorkerCpus: 1,
            sparkWorkerNodes: [`node.hostname!=${(engines[2] as SecondEngine).name}`],
            clusterEncryption: hasIpsec ? "network" : "spark",
            memory: "3072",
            verify: "off",
            heldImages: { base: held, compute: held },
        });
    });

    afterAll(async () => {
        if (engines.length > 0) {
            await carbon("down", "--volumes");
        }
        for (const engine of engines) {
            await engine.remove();
        }
        rmSync(workspaceDir, { recursive: true, force: true });
        rmSync(stackFile, { force: true });
        for (const end of ["", ".bak"]) {
            rmSync(path.join(project, `.carbon/state/.pulumi/stacks/carbon/${stack}.json${end}`), {
                force: true,
            });
        }
    });

    it("is refused where the engine manages no Swarm, with what to type", async () => {
        const { exitCode, said } = await carbon("up");
        expect(exitCode).toBe(1);
        expect(said).toContain("this engine manages no Swarm");
        expect(said).toContain("docker swarm init");
        await manager().docker("swarm", "init", "--advertise-addr", manager().address);
        for (const engine of engines.slice(1)) {
            await join(engine);
        }
    });

    it("is refused where a node has another /workspace, or no room, with the node's name", async () => {
        configure({ sparkWorkerNodes: [], sparkWorkers: 900 });
        const tooMany = await carbon("up");
        expect(tooMany.exitCode).toBe(1);
        expect(tooMany.said).toMatch(
            /room for \d+ Spark workers of 1 CPUs and 2048 MiB, and carbon:sparkWorkers is 900/,
        );
        configure({ sparkWorkers: 2 });
        const strange = await carbon("up");
        expect(strange.exitCode).toBe(1);
        const [first, second, third] = engines.map(({ name }) => name);
        expect(strange.said).toContain(`${third}: ${workspaceDir} is not this machine's folder there`);
        expect(strange.said).not.toMatch(new RegExp(`  (${first}|${second}): `));
        // Nothing of the proof stays.
        expect(await swarmOf(manager())).toMatchObject({ services: "", networks: "ingress" });
        configure({ sparkWorkerNodes: [`node.hostname!=${third}`] });
    });

    it.skipIf(hasIpsec)("is refused where a kernel cannot encrypt the network", async () => {
        configure({ clusterEncryption: "network" });
        const { exitCode, said } = await carbon("up");
        configure({ clusterEncryption: "spark" });
        expect(exitCode).toBe(1);
        expect(said).toContain(`${worker().name}: it does not reach this engine over an overlay network`);
        expect(said).toContain("set carbon:clusterEncryption to spark");
    });

    it("comes up on two nodes, and a second up changes nothing", async () => {
        await up();
        const { json } = await carbon("status");
        expect(json.cluster.services).toEqual([{ service: "spark-worker", replicas: 2, running: 2 }]);
        expect(json.cluster.nodes.map((node: { containers: number }) => node.containers)).toEqual([1, 1, 0]);
        expect((await carbon("drift")).json).toMatchObject({ clean: true });
    });

    it("hands secrets over as the Swarm's, and shows none", async () => {
        const { json } = await carbon("credentials");
        const { password } = json.spark;
        const inspected = await manager().docker("service", "inspect", service);
        expect(inspected).not.toContain(password);
        const [spec] = JSON.parse(inspected);
        const files = spec.Spec.TaskTemplate.ContainerSpec.Secrets.map(
            (one: { File: { Name: string } }) => one.File.Name,
        );
        expect(files).toContain("/run/carbon/secrets/spark");
        const id = await worker().docker("ps", "--quiet", "--filter", "name=spark-worker");
        expect(await worker().docker("inspect", id)).not.toContain(password);
        const read = ["exec", "--user", "carbon", id, "cat", "/run/carbon/secrets/spark"];
        await expect(worker().docker(...read)).rejects.toThrow(/Permission denied/);
        const state = readFileSync(
            path.join(project, `.carbon/state/.pulumi/stacks/carbon/${stack}.json`),
            "utf8",
        );
        expect(state).not.toContain(password);
        expect(state).not.toContain(Buffer.from(password).toString("base64"));
    });

    it("runs a job over both nodes, of which nothing crosses in the clear", async () => {
        const script = path.join(__dirname, "capture.py");
        const capture = execa("python3", [script, worker().interface, mark, "seen-in-the-clear"]);
        await new Promise((resolve) => capture.stdout.once("data", resolve));
        // That the capture would see it.
        await worker().run(["bash", "-c", `echo seen-in-the-clear > /dev/udp/${worker().hostAddress}/9`]);
        const found = await finish(start("job", "0.3"));
        capture.stdin.end();
        const { stdout } = await capture;
        const counts = JSON.parse(stdout.split("\n").at(-1) ?? "");
        expect(found).toEqual({ hosts: 2, count: 100_000 });
        expect(counts.marks[mark]).toBe(0);
        expect(counts.marks["seen-in-the-clear"]).toBeGreaterThan(0);
        expect(hasIpsec ? counts.esp : counts.overlay).toBeGreaterThan(100);
    });

    it("is refused another network while it runs, as Docker changes none in use", async () => {
        const { clusterEncryption, sparkWorkerNodes } = config;
        for (const changes of [
            { cluster: "off", sparkWorkerNodes: [] },
            { clusterEncryption: clusterEncryption === "spark" ? "network" : "spark" },
            { subnet: "10.77.0.0/24" },
        ]) {
            configure(changes);
            const { exitCode, said } = await carbon("up");
            configure({ cluster: "swarm", clusterEncryption, sparkWorkerNodes, subnet: "auto" });
            expect(exitCode, said).toBe(1);
            expect(said).toContain("./carbon down --stack t-swarm");
        }
        expect((await carbon("drift")).json).toMatchObject({ clean: true });
    });

    it("lets no session in that has another secret", async () => {
        const { exitCode, all } = await start("stranger");
        expect(exitCode, all).not.toBe(0);
        expect(all).not.toContain("IN 10");
    });

    it("finds what was changed by hand, and puts it right", async () => {
        await manager().docker(
            "service",
            "update",
            "--detach",
            "--limit-memory",
            "3G",
            "--replicas",
            "1",
            service,
        );
        // As a run that was killed leaves one, or one of a clone that is lost.
        const left = ["--label", `carbon.stack=${stack}`, `carbon-${stack}-left`, __filename];
        await manager().docker("secret", "create", ...left);
        await until(async () => (await carbon("status")).json.cluster.services[0].running === 1);
        const { exitCode, json } = await carbon("drift");
        expect(exitCode).toBe(3);
        const seen = json.differences.map(({ property, expected, found }: Record<string, string>) =>
            [property, expected, found].join(" "),
        );
        const strange = "secret known to this clone is not";
        expect(seen).toEqual(expect.arrayContaining(["replicas 2 1", "memory 2048 MiB 3072 MiB", strange]));
        await up();
        expect((await carbon("drift")).json).toMatchObject({ clean: true });
    });

    it("ends a job right of which a node dies in the middle, and gives the node work again", async () => {
        rmSync(path.join(workspaceDir, "started"), { force: true });
        const job = start("job", "3");
        await until(
            () =>
                execaSync("test", ["-e", path.join(workspaceDir, "started")], { reject: false }).exitCode ===
                0,
        );
        await worker().kill();
        expect(await finish(job)).toMatchObject({ count: 100_000 });
        await until(async () => (await nodeNamed(worker())).state === "down");
        await until(async () => (await nodeNamed(manager())).containers === 2);
        await worker().boot();
        await until(async () => (await nodeNamed(worker())).state === "ready");
        const { said } = await up();
        expect(said).toContain(`Spreading spark-worker: ${worker().name} had nothing to do`);
        expect(await nodeNamed(worker())).toMatchObject({ containers: 1 });
    });

    it("moves off a node that is drained, and is stopped and started", async () => {
        await manager().docker("node", "update", "--availability", "drain", worker().name);
        await until(async () => (await nodeNamed(manager())).containers === 2);
        expect(await nodeNamed(worker())).toMatchObject({ availability: "drain", containers: 0 });
        await manager().docker("node", "update", "--availability", "active", worker().name);
        expect((await carbon("stop")).json.stopped).toContain(service);
        expect((await carbon("status")).json.cluster.services).toMatchObject([{ replicas: 0 }]);
        expect((await carbon("start")).json.started).toContain(service);
        expect((await carbon("status")).exitCode).toBe(0);
    });

    it("is there again after the manager's engine was started anew", async () => {
        await manager().restart();
        await until(async () => (await carbon("status")).exitCode === 0);
        expect(await finish(start("job", "0.1"))).toMatchObject({ count: 100_000 });
    });

    it("goes down and leaves the Swarm as it was", async () => {
        const { nodes } = await swarmOf(manager());
        const down = await carbon("down");
        expect(down.exitCode, down.said).toBe(0);
        expect(await swarmOf(manager())).toEqual({ services: "", secrets: "", networks: "ingress", nodes });
        // Swarm's agents remove their containers once they hear of it.
        await until(async () => (await worker().docker("ps", "--all", "--quiet")) === "");
    });
});
