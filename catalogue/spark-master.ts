import { threadedLimits } from "./limits";
import type { ServiceSpec } from "./types";

/**
 * Spark's master with the history server, from the compute image. Its secret opens the cluster and
 * its pages, workers included.
 */
export const sparkMaster: ServiceSpec = {
    name: "spark-master",
    title: "Spark master and history",
    image: "compute",
    toolset: "spark",
    command: ["spark-master"],
    env: { CARBON_UID: "uid", CARBON_GID: "gid" },
    // How much of a worker a session may ask for.
    clientEnv: { CARBON_SPARK_WORKER_MEMORY: { setting: "sparkWorkerMemory" } },
    // Not 7077: executors connect to the session that asked for them, which they do not find outside the network.
    ports: [
        {
            name: "sparkUi",
            port: 8080,
            title: "Spark (master's page)",
            url: "http://{host}:{port}/",
            secret: "spark",
            card: "Spark",
        },
        {
            name: "sparkHistory",
            port: 18080,
            title: "Spark (history)",
            url: "http://{host}:{port}/",
            secret: "spark",
            card: "Spark history",
        },
    ],
    // The workspace's sessions write what the history server reads.
    volumes: [{ name: "spark-events", path: "/var/lib/spark/events", shared: true }],
    // The user is that of the pages; Spark itself asks for the password alone.
    secrets: [{ name: "spark", key: "spark", length: 24, field: "password", login: { user: "carbon" } }],
    connection: { at: "spark-master:7077", python: "pyspark.sql.SparkSession.builder.getOrCreate()" },
    health: { interval: "30s", timeout: "10s", startPeriod: "1m30s", startInterval: "1s", retries: 3 },
    loopbackOnly: true,
    ...threadedLimits,
    // The heaps are 384 and 512 MiB.
    memory: 1536,
    stopTimeout: 15,
};
