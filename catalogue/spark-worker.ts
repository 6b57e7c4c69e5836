import { threadedLimits } from "./limits";
import type { ServiceSpec } from "./types";

/**
 * Spark's workers, from the compute image. Jobs see /workspace at the same path as the notebook that started them, and
 * the packages that the user has installed in the home.
 */
export const sparkWorker: ServiceSpec = {
    name: "spark-worker",
    title: "Spark worker",
    image: "compute",
    toolset: "spark",
    command: ["spark-worker"],
    count: "sparkWorkers",
    needs: "spark-master",
    env: { CARBON_UID: "uid", CARBON_GID: "gid", CARBON_SPARK_WORKER_MEMORY: "sparkWorkerMemory" },
    workspaceFolder: true,
    readsHome: true,
    ports: [
        {
            name: "sparkWorkerUi",
            port: 8081,
            title: "Spark (first worker's page)",
            url: "http://{host}:{port}/",
            secret: "spark",
        },
    ],
    volumes: [],
    secrets: [],
    health: { interval: "30s", timeout: "10s", startPeriod: "1m30s", startInterval: "1s", retries: 3 },
    loopbackOnly: true,
    ...threadedLimits,
    memory: "sparkWorkerMemory",
    stopTimeout: 15,
};
