import type Docker from "dockerode";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
    hostPort,
    logs,
    makeNetwork,
    makeVolume,
    removeAll,
    run,
    startRole,
    until,
    untilHealthy,
} from "./base-container";
import { readImageJson } from "./base-image";
import { computeImage, startWorkspace } from "./compute-image";
import { executeNotebook, type Jupyter, plainText } from "./jupyter";

const image = computeImage();
const { toolsets } = readImageJson(image);
const spark = "SparkSecretSparkSecret24";

describe.runIf(toolsets.includes("spark"))("a Spark cluster", () => {
    let network: Docker.Network;
    let master: Docker.Container;
    let lab: Jupyter;

    beforeAll(async () => {
        network = await makeNetwork();
        const events = `${await makeVolume()}:/var/lib/spark/events`;
        master = await startRole({
            image,
            role: "spark-master",
            secrets: { spark },
            binds: [events],
            ports: [8080, 18080],
            host: { network, name: "spark-master" },
        });
        await untilHealthy(master, 120);
        const [workspace, worker] = await Promise.all([
            startWorkspace({
                image,
                secrets: { spark },
                env: { CARBON_SERVICES: "spark-master spark-worker" },
                binds: [events],
                host: { network, name: "workspace" },
            }),
            startWorker("spark-worker-1", spark),
        ]);
        await untilHealthy(worker, 120);
        lab = workspace;
    });
    afterAll(removeAll);

    function startWorker(name: string, secret: string): Promise<Docker.Container> {
        return startRole({
            image,
            role: "spark-worker",
            secrets: { spark: secret },
            host: { network, name },
        });
    }

    async function ask(port: number, path: string) {
        return (await fetch(`http://127.0.0.1:${await hostPort(master, port)}${path}`)).json();
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
        const stranger = await startWorker("spark-worker-2", "WrongSecretWrongSecret24");
        await until("the stranger is refused", 90, async () =>
            /Failed to connect to master/.test(await logs(stranger)),
        );
        const { workers } = await ask(8080, "/json/");
        expect(workers).toHaveLength(1);
    });

    it("shows its secret in no log and no command line", async () => {
        for (const container of [master, lab.container]) {
            expect(await logs(container)).not.toContain(spark);
            expect(await run(container, ["ps", "axww", "-o", "args"])).not.toContain(spark);
        }
    });
});
