import type Docker from "dockerode";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
    exec,
    hostPort,
    logs,
    makeNetwork,
    makeVolume,
    removeAll,
    run,
    secrets,
    startHealthy,
    startRole,
    until,
    untilHealthy,
} from "../image/base-container";
import { readImageJson } from "../image/base-image";
import { computeImage, startWorkspace } from "../image/compute-image";
import { executeNotebook, type Jupyter, plainText } from "../image/jupyter";

const image = computeImage();
const { toolsets } = readImageJson(image);
const { spark } = secrets;
const login = `Basic ${Buffer.from(`carbon:${spark}`).toString("base64")}`;
const wrongLogin = `Basic ${Buffer.from("carbon:WrongSecretWrongSecret24").toString("base64")}`;
const python = "/opt/carbon/venv/bin/python";

/** Programs for the images' Python, with their input as JSON in the first argument. */
const programs = {
    /** A session on the cluster that runs a job and then lasts until /tmp/end-session is there. */
    session: `
import pathlib, time
from pyspark.sql import SparkSession
spark = SparkSession.builder.appName("session").getOrCreate()
spark.range(10).count()
while not pathlib.Path("/tmp/end-session").exists():
    time.sleep(0.2)
spark.stop()`,

    /** Addresses and ports that anything listens on, as /proc has them, but for loopback's. */
    openPorts: `
import json
lines = [line.split() for name in ("tcp", "tcp6") for line in list(open(f"/proc/net/{name}"))[1:]]
addresses = [fields[1].split(":") for fields in lines if fields[3] == "0A"]
print(json.dumps(sorted({int(port, 16) for address, port in addresses if not address.endswith("7F")})))`,

    /** Which of the [host, port, endpoint] Spark's RPC finds, for a session on the cluster or one of its own. */
    askRpc: `
import json, sys
from concurrent.futures import ThreadPoolExecutor
from pyspark.sql import SparkSession
question = json.loads(sys.argv[1])
builder = SparkSession.builder.config(map={"spark.ui.enabled": "false", "spark.rpc.lookupTimeout": "20s"})
spark = builder.getOrCreate() if question["onCluster"] else builder.master("local[1]").getOrCreate()
jvm = spark.sparkContext._jvm
rpc = jvm.org.apache.spark.SparkEnv.get().rpcEnv()
def finds(address):
    host, port, endpoint = address
    try:
        rpc.setupEndpointRef(jvm.org.apache.spark.rpc.RpcAddress(host, port), endpoint)
        return True
    except Exception:
        return False
# Side by side: one that does not answer takes the whole time limit.
with ThreadPoolExecutor(16) as pool:
    found = list(pool.map(finds, question["addresses"]))
print(json.dumps([address for address, is_found in zip(question["addresses"], found) if is_found]))
spark.stop()`,
} as const;

describe.runIf(toolsets.includes("spark"))("a Spark cluster", () => {
    let network: Docker.Network;
    let master: Docker.Container;
    let worker: Docker.Container;
    let lab: Jupyter;
    /** On the same network, without the secret. */
    let stranger: Docker.Container;

    beforeAll(async () => {
        network = await makeNetwork();
        const events = `${await makeVolume()}:/var/lib/spark/events`;
        master = await startHealthy({
            image,
            role: "spark-master",
            binds: [events],
            ports: [8080, 18080],
            host: { network, name: "spark-master" },
        });
        [lab, worker, stranger] = await Promise.all([
            startWorkspace({
                image,
                stack: { services: ["spark-master", "spark-worker"] },
                binds: [events],
                host: { network, name: "workspace" },
            }),
            startWorker("spark-worker-1", spark),
            startWorker("stranger", "WrongSecretWrongSecret24"),
        ]);
        await untilHealthy(worker, 120);
    });
    afterAll(removeAll);

    function startWorker(name: string, secret: string): Promise<Docker.Container> {
        return startRole({
            image,
            role: "spark-worker",
            secrets: { spark: secret },
            ports: [8081],
            host: { network, name },
        });
    }

    async function get(container: Docker.Container, port: number, path: string, headers = {}) {
        return fetch(`http://127.0.0.1:${await hostPort(container, port)}${path}`, { headers });
    }

    async function ask(port: number, path: string) {
        return (await get(master, port, path, { Authorization: login })).json();
    }

    /** Runs `test` while a session's application, of that id, is on the cluster. */
    async function duringSession(test: (id: string) => Promise<void>): Promise<void> {
        const session = runPython(lab.container, programs.session);
        try {
            await until("the session has run a job", 120, async () => {
                const [application] = (await ask(8080, "/json/")).activeapps;
                const path = `/proxy/${application?.id}/api/v1/applications/${application?.id}/jobs`;
                // JSON once the session has started, and a sentence before.
                const jobs = await (await get(master, 8080, path, { Authorization: login })).text();
                return /"status" : "SUCCEEDED"/.test(jobs);
            });
            await test((await ask(8080, "/json/")).activeapps[0].id);
        } finally {
            await run(lab.container, ["touch", "/tmp/end-session"], "carbon");
            await session;
            await run(lab.container, ["rm", "/tmp/end-session"], "carbon");
        }
    }

    it("runs a notebook's job on its worker, found without a setting, and remembers it", async () => {
        const session = [
            "from pyspark.sql import SparkSession",
            'spark = SparkSession.builder.appName("test").getOrCreate()',
        ];
        const job = [
            "host = lambda _: __import__('socket').gethostname()",
            "print(spark.sparkContext.master, set(spark.sparkContext.parallelize(range(4), 4).map(host).collect()))",
            "spark.stop()",
        ];
        const [, where] = await executeNotebook(lab, "python3", [session.join("\n"), job.join("\n")]);
        expect(plainText(where)).toBe("spark://spark-master:7077 {'spark-worker-1'}");
        await until("the job is in the history", 60, async () => {
            const applications = await ask(18080, "/api/v1/applications?status=completed");
            return applications.some(({ name }: { name: string }) => name === "test");
        });
    });

    it("gives an ordinary session nothing to warn of", async () => {
        const session = "from pyspark.sql import SparkSession; spark = SparkSession.builder.getOrCreate()";
        const job = `${session}; print("counted", spark.range(10).count()); spark.stop()`;
        const python = `/opt/carbon/venv/bin/python -c '${job}'`;
        const printed = await run(lab.container, ["bash", "-lc", python], "carbon");
        expect(printed).toContain("counted 10");
        // Hadoop's native library is not in PySpark's package; Java does its work.
        const warnings = printed
            .split("\n")
            .filter((line) => / (WARN|ERROR) (?!NativeCodeLoader)/.test(line));
        expect(warnings).toEqual([]);
    });

    it("takes in no worker with another secret", async () => {
        await until("the stranger is refused", 90, async () =>
            /Failed to connect to master/.test(await logs(stranger)),
        );
        const { workers } = await ask(8080, "/json/");
        expect(workers).toHaveLength(1);
    });

    it.each([
        ["master's", 8080, ["/", "/json/", "/app/", "/metrics/master/json/", "/static/webui.css", "/none"]],
        ["history's", 18080, ["/", "/api/v1/applications", "/static/webui.css", "/none"]],
        ["worker's", 8081, ["/", "/json/", "/logPage/", "/metrics/json/", "/static/webui.css", "/none"]],
    ])("asks for a login on all of the %s page", async (_, port, paths) => {
        const container = port === 8081 ? worker : master;
        for (const path of paths) {
            const statuses = [{}, { Authorization: wrongLogin }, { Authorization: "Basic ?" }].map(
                async (headers) => (await get(container, port, path, headers)).status,
            );
            expect(await Promise.all(statuses), path).toEqual([401, 401, 401]);
        }
        expect((await get(container, port, "/")).headers.get("www-authenticate")).toContain("Carbon Spark");
        expect((await get(container, port, "/", { Authorization: login })).status).toBe(200);
    });

    it("asks for a login on a session's page, at the master and in the workspace, and hands it on", async () => {
        await duringSession(async (id) => {
            const [{ id: workerId }] = (await ask(8080, "/json/")).workers;
            for (const path of [`/proxy/${id}/jobs/`, `/proxy/${workerId}/`]) {
                expect((await get(master, 8080, path)).status, path).toBe(401);
                expect((await get(master, 8080, path, { Authorization: wrongLogin })).status, path).toBe(401);
                expect((await get(master, 8080, path, { Authorization: login })).status, path).toBe(200);
            }
            for (const path of ["jobs/", "api/v1/applications", "environment/", "static/webui.css"]) {
                expect(await statusFrom(stranger, `http://workspace:4040/${path}`), path).toBe("401");
            }
            const proxied = `${lab.address}/proxy/4040/jobs/?token=${lab.token}`;
            expect((await fetch(proxied)).status).toBe(401);
            expect((await fetch(proxied, { headers: { Authorization: login } })).status).toBe(200);
        });
    });

    it("does nothing for another site's page in a browser that is logged in", async () => {
        const from = async (method: string, path: string, headers: Record<string, string>) => {
            const address = `http://127.0.0.1:${await hostPort(master, 8080)}${path}`;
            const answer = await fetch(address, { method, headers: { Authorization: login, ...headers } });
            return (await answer.text()).includes("Another site's page") ? "refused" : "heard";
        };
        const kill = "/app/kill/?id=app-1&terminate=true";
        for (const site of ["cross-site", "same-site"]) {
            const headers = { "Sec-Fetch-Site": site, "Sec-Fetch-Dest": "document" };
            expect(await from("POST", kill, headers), site).toBe("refused");
            expect(await from("GET", "/", headers), `a link from a ${site} page`).toBe("heard");
            expect(await from("GET", "/jobs/job/kill/?id=0", headers), site).toBe("refused");
            expect(await from("GET", "/json/", { "Sec-Fetch-Site": site }), site).toBe("refused");
            expect(await from("GET", "/", { ...headers, "Sec-Fetch-Dest": "iframe" }), site).toBe("refused");
        }
        // As browsers that do not say more.
        for (const origin of ["http://127.0.0.1:8888", "http://stranger.example", "null"]) {
            expect(await from("POST", kill, { Origin: origin }), origin).toBe("refused");
        }
        const own = `http://127.0.0.1:${await hostPort(master, 8080)}`;
        expect(await from("POST", kill, { Origin: own })).toBe("heard");
        expect(await from("POST", kill, { "Sec-Fetch-Site": "same-origin", Origin: own })).toBe("heard");
    });

    // With the next one beside it, which waits a minute for Spark's own patience.
    it.concurrent("answers no neighbour without the secret, on whatever port", async () => {
        const others = await openPorts(lab.container);
        await duringSession(async () => {
            // The pages' ports speak HTTP and ask for a login, as other tests see.
            const session = (await openPorts(lab.container)).filter(
                (port) => port !== 4040 && !others.includes(port),
            );
            const workerPorts = (await openPorts(worker)).filter((port) => port !== 8081);
            const addresses = [
                ["spark-master", 7077, "Master"],
                ...workerPorts.map((port) => ["spark-worker-1", port, "Worker"]),
                ...session.map((port) => ["workspace", port, "CoarseGrainedScheduler"]),
            ];
            const find = async (container: Docker.Container, onCluster: boolean) =>
                JSON.parse(lastLine(await runPython(container, programs.askRpc, { onCluster, addresses })));
            expect(await find(stranger, false)).toEqual([]);
            // The same question of a session that knows the secret.
            expect(await find(lab.container, true)).toEqual([
                ["spark-master", 7077, "Master"],
                ["spark-worker-1", expect.any(Number), "Worker"],
                ["workspace", expect.any(Number), "CoarseGrainedScheduler"],
            ]);
        });
        // The master's RPC, its page and the history's; the REST server, which asks nobody, is off.
        expect(await openPorts(master)).toEqual([7077, 8080, 18080]);
    });

    it.concurrent("takes no application from a neighbour without the secret", async () => {
        const submit = `
from pyspark.sql import SparkSession
SparkSession.builder.master("spark://spark-master:7077").appName("stranger").getOrCreate()`;
        const printed = await runPython(stranger, submit).catch(String);
        expect(printed).toContain("All masters are unresponsive");
        const { activeapps, completedapps } = await ask(8080, "/json/");
        expect([...activeapps, ...completedapps].map(({ name }) => name)).not.toContain("stranger");
    });

    it("makes root follow no link that its user has planted", async () => {
        const plant = `
for name in worker-memory worker.conf password log4j2.properties; do
    ln -sfT /opt/planted /run/carbon/spark/$name
done
echo 'touch /tmp/loaded' > /run/carbon/spark/spark-env.sh
mv /var/lib/spark/work /var/lib/spark/was && ln -sT /opt /var/lib/spark/work
mv /run/carbon/spark /run/carbon/was && ln -sT /opt /run/carbon/spark
ln -sfT /etc/shadow /home/carbon/link
ln -sfT /etc/shadow /var/lib/spark/work/link
true`;
        const outside = "stat -c '%n %U %a %Y' /opt /opt/* /etc/shadow";
        await run(worker, ["bash", "-c", plant], "carbon");
        const before = await run(worker, ["bash", "-c", outside]);
        await worker.restart({ t: 20 });
        await untilHealthy(worker, 120);
        expect(await run(worker, ["bash", "-c", outside])).toBe(before);
        expect((await exec(worker, ["test", "-e", "/tmp/loaded"])).code).not.toBe(0);
        expect(await run(worker, ["find", "/run/carbon/spark", "-user", "carbon", "-o", "-type", "l"])).toBe(
            "",
        );
    });

    it("shows its secret in no log and no command line", async () => {
        for (const container of [master, worker, lab.container]) {
            expect(await logs(container)).not.toContain(spark);
            expect(await run(container, ["ps", "axww", "-o", "args"])).not.toContain(spark);
        }
    });
});

describe.runIf(toolsets.includes("spark"))("a Spark session where no cluster runs", () => {
    afterAll(removeAll);

    it("keeps to its container", async () => {
        const { container } = await startWorkspace({ image });
        const before = await openPorts(container);
        const session = runPython(container, programs.session);
        await until("the session's page is there", 120, async () => {
            return (await statusFrom(container, "http://127.0.0.1:4040/api/v1/applications")) === "200";
        });
        expect(await openPorts(container)).toEqual(before);
        await run(container, ["touch", "/tmp/end-session"], "carbon");
        await session;
    });
});

/** What a program of Python prints, as the user and in the environment that JupyterLab's kernels have. */
function runPython(container: Docker.Container, program: string, input: unknown = null): Promise<string> {
    const command = ["bash", "-lc", `exec ${python} -c "$0" "$1" 2>&1`, program, JSON.stringify(input)];
    return run(container, command, "carbon");
}

function lastLine(text: string): string {
    return text.split("\n").at(-1) ?? "";
}

/** Ports of a container that its neighbours can connect to. */
async function openPorts(container: Docker.Container): Promise<number[]> {
    return JSON.parse(await run(container, ["python3", "-c", programs.openPorts]));
}

/** HTTP status that a container gets, without a login; 000 where nobody answers. */
async function statusFrom(container: Docker.Container, address: string): Promise<string> {
    const { output } = await exec(container, [
        "curl",
        "--silent",
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_code}",
        address,
    ]);
    return output.trim();
}
