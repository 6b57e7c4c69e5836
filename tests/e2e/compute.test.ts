import { mkdtempSync, rmSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { type Result, Stack } from "./stack";

// They want the whole compute image, which the quick suite does not build.
describe.runIf(process.env.CARBON_E2E === "full")("services from the compute image", () => {
    const stack = new Stack("t-compute", {
        portOffset: 15000,
        services: ["spark-master", "spark-worker", "llm"],
        sparkWorkers: 2,
    });
    let first: Result;

    beforeAll(async () => {
        first = await stack.up();
    });
    afterAll(() => stack.remove());

    it("are healthy, in a container each", async () => {
        const names = ["llm", "spark-master", "spark-worker-1", "spark-worker-2", "workspace"];
        expect(await stack.containers()).toEqual(names.map((name) => stack.container(name)));
        for (const name of names) {
            expect((await stack.inspect(name)).State.Health.Status, name).toBe("healthy");
        }
    });

    it("pass the check, but for the LLM server, which has no model yet and says what to do", () => {
        const of = (id: string) =>
            first.json.verification.checks.find((check: { id: string }) => check.id === id);
        expect(of("spark")).toMatchObject({
            status: "PASS",
            observed: expect.stringContaining("workers: 2 "),
        });
        expect(of("llm")).toMatchObject({
            status: "SKIP",
            observed: expect.stringContaining("docker cp model.gguf carbon-t-compute-llm:/models/"),
        });
    });

    it("give a session in the workspace the cluster, without an address", async () => {
        const job =
            "from pyspark.sql import SparkSession; spark = SparkSession.builder.getOrCreate(); print(spark.sparkContext.master, spark.range(10).count())";
        const { output } = await stack.shell(`/opt/carbon/venv/bin/python -c '${job}'`);
        expect(output).toContain("spark://spark-master:7077 10");
    });

    it("show Spark's pages on the host, with the login that credentials shows", async () => {
        const { user, password } = (await stack.carbon(["credentials"])).json.spark;
        const login = `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
        for (const page of ["sparkUi", "sparkHistory", "sparkWorkerUi"]) {
            const address = first.json.urls[page];
            expect((await fetch(address)).status, page).toBe(401);
            expect((await fetch(address, { headers: { Authorization: login } })).status, page).toBe(200);
        }
    });

    it("are left alone by a second up", async () => {
        const { json } = await stack.up();
        expect(json.changes).toMatchObject({ create: 0, update: 0, replace: 0, delete: 0 });
    });

    it("make room for kernels and the LLM server of this machine, by two words in the settings", async () => {
        const home = mkdtempSync(join(tmpdir(), "carbon-gpu-"));
        vi.stubEnv("CARBON_GPU_HOME", home);
        onTestFinished(async () => {
            await stack.carbon(["gpu", "uninstall"]);
            rmSync(home, { recursive: true, force: true });
            vi.unstubAllEnvs();
        });
        stack.configure({ services: [], gpu: "host", gpuPort: 24797, llm: "host", llmHostPort: 24011 });
        const installed = await stack.carbon(["gpu", "install", "--kernel", "host-python"]);
        expect(installed.exitCode, installed.said).toBe(0);
        await stack.up();
        expect((await stack.carbon(["outputs"])).json.gpu).toMatchObject({
            route: "host",
            found: { kernels: ["host-python"] },
        });
        expect(
            await stack.shell("cd /workspace; carbon-gpu python -c 'import os; print(os.uname()[1])'"),
        ).toEqual({
            exitCode: 0,
            output: hostname(),
        });
        const { json } = await stack.carbon(["verify", "--target", "end-to-end"]);
        expect(json.checks).toMatchObject([
            { id: "gateway", status: "PASS" },
            { id: "completion", status: "SKIP", observed: expect.stringContaining("no model yet") },
            { id: "host-kernel", status: "PASS" },
        ]);
    });
});
