/**
 * Measures the same Spark job on 1, 2, 4, … executors of a stack that runs and has as many workers, and prints a Markdown
 * table:
 *
 *     npx tsx benchmarks/spark-cluster.mts --stack NAME [--gigabytes N] [--cores N] [--workers 1,2,4]
 *
 * The job's data set is made once, as Parquet in /workspace/benchmark, of text that hardly compresses; `--remove` takes it
 * away again. One executor fills one worker.
 */
import { Command } from "commander";
import { execa } from "execa";
import { z } from "zod";

interface Options {
    stack: string;
    gigabytes: string;
    cores: string;
    workers: string;
    remove: boolean;
}

const program = `
import json, os, sys, time
from pyspark.sql import SparkSession, functions as f
size, workers, cores = float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
builder = SparkSession.builder.appName(f"benchmark on {workers}")
settings = {
    "spark.dynamicAllocation.enabled": "false",
    # A standalone master is asked for cores, not for executors.
    "spark.executor.cores": str(cores),
    "spark.cores.max": str(workers * cores),
    "spark.scheduler.minRegisteredResourcesRatio": "1.0",
    "spark.scheduler.maxRegisteredResourcesWaitingTime": "120s",
    "spark.sql.shuffle.partitions": "32",
    "spark.sql.autoBroadcastJoinThreshold": "-1",
}
for key, value in settings.items():
    builder = builder.config(key, value)
spark = builder.getOrCreate()
folder = "/workspace/benchmark/events"
if not os.path.exists(f"{folder}/_SUCCESS"):
    # 72 bytes a row, of which the text is random.
    rows = int(size * 1e9 / 72)
    text = f.concat_ws("", *[f.hex((f.rand(n) * 2**40).cast("long")) for n in range(6)])
    made = spark.range(0, rows, 1, 32).select("id", (f.rand(9) * 1e6).cast("int").alias("user"), text.alias("text"))
    made.write.mode("overwrite").parquet(folder)
events = spark.read.parquet(folder)
spark.range(100000).repartition(8).count() # the executors' first classes
def timed(action):
    start = time.time()
    action()
    return time.time() - start
found = {
    "workers": workers,
    "gigabytes": sum(e.stat().st_size for e in os.scandir(folder)) / 1e9,
    "scan": timed(lambda: events.agg(f.max("text"), f.count("*")).collect()),
    "shuffle": timed(lambda: events.groupBy("user").agg(f.max("text")).agg(f.count("*")).collect()),
    "join": timed(lambda: events.select("id", "text").join(events.where("id % 4 = 0").select("id", "user"), "id")
        .agg(f.count("*"), f.max("text")).collect()),
    "tasks": 4000 / timed(lambda: spark.range(0, 4000, 1, 4000).write.format("noop").mode("overwrite").save()),
}
print("FOUND", json.dumps(found))
spark.stop()
`;

const found = z.object({
    workers: z.number(),
    gigabytes: z.number(),
    scan: z.number(),
    shuffle: z.number(),
    join: z.number(),
    tasks: z.number(),
});

async function measure({ stack, gigabytes, cores }: Options, workers: string) {
    const args = ["exec", "--interactive", "--user", "carbon", `carbon-${stack}-workspace`];
    const python = ["bash", "-lc", `python - ${Number(gigabytes)} ${Number(workers)} ${Number(cores)}`];
    const { stdout } = await execa("docker", [...args, ...python], { input: program, stderr: "inherit" });
    return found.parse(JSON.parse(/^FOUND (.*)$/m.exec(stdout)?.[1] ?? "null"));
}

async function main(options: Options): Promise<void> {
    const { stack, workers, remove } = options;
    console.log("| workers | Parquet | scan | shuffle | join | tasks a second |");
    console.log("| --- | --- | --- | --- | --- | --- |");
    for (const count of workers.split(",")) {
        const { scan, shuffle, join, tasks, ...of } = await measure(options, count);
        const seconds = [scan, shuffle, join].map((one) => `${one.toFixed(1)} s`).join(" | ");
        console.log(`| ${of.workers} | ${of.gigabytes.toFixed(2)} GB | ${seconds} | ${Math.round(tasks)} |`);
    }
    if (remove) {
        const folder = "/workspace/benchmark";
        await execa("docker", ["exec", `carbon-${stack}-workspace`, "rm", "-rf", folder]);
    }
}

new Command()
    .requiredOption("--stack <name>", "a stack that runs, with Spark")
    .option("--gigabytes <number>", "size of the data set", "2")
    .option("--cores <number>", "cores of a worker, as carbon:sparkWorkerCpus", "1")
    .option("--workers <list>", "numbers of workers", "1,2,4")
    .option("--remove", "remove the data set afterwards", false)
    .action(main)
    .parseAsync();
