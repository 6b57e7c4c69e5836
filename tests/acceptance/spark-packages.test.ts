import type Docker from "dockerode";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
    exec,
    makeNetwork,
    makeVolume,
    removeAll,
    run,
    startRole,
    untilHealthy,
} from "../image/base-container";
import { readImageJson } from "../image/base-image";
import { computeImage, pythonChecks } from "../image/compute-image";

const image = computeImage();
const { toolsets } = readImageJson(image);
const python = "/opt/carbon/venv/bin/python";

/** What a job finds on its worker: the package that the user has installed, and a home that it may write to. */
const job = `
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
def seen(_):
    import carbon_test_package, os, pathlib, socket
    (pathlib.Path.home() / "written").write_text("x")
    return socket.gethostname(), carbon_test_package.answer, os.access("/home/carbon", os.W_OK)
print(spark.sparkContext.parallelize(range(2), 2).map(seen).first())
spark.stop()`;

describe.runIf(toolsets.includes("spark"))("what pip installs in the workspace", () => {
    let workspace: Docker.Container;
    let worker: Docker.Container;

    beforeAll(async () => {
        const network = await makeNetwork();
        const home = await makeVolume();
        const events = `${await makeVolume()}:/var/lib/spark/events`;
        // As on a machine whose user has another id than the image's: the volume is the workspace's to own.
        const env = { CARBON_UID: "1234", CARBON_GID: "1234" };
        const start = (role: string, binds: string[], services: string[] = []) =>
            startRole({
                image,
                role,
                binds,
                env,
                stack: { services },
                host: { network, name: role === "spark-worker" ? "spark-worker-1" : role },
            });
        // The worker is there first, as in a stack, and has Docker fill the volume.
        await start("spark-master", [events]);
        worker = await start("spark-worker", [`${home}:/home/carbon:ro`]);
        workspace = await start(
            "workspace",
            [`${home}:/home/carbon`, events],
            ["spark-master", "spark-worker"],
        );
        await Promise.all([untilHealthy(worker, 240), untilHealthy(workspace, 240)]);
    });
    afterAll(removeAll);

    it("is there on the workers", async () => {
        const shell = (program: string, argument = "") =>
            run(workspace, ["bash", "-lc", 'exec "$@"', "-", python, "-c", program, argument], "carbon");
        const wheel = JSON.parse(await shell(pythonChecks.makeWheel, JSON.stringify("/tmp")));
        const install = `pip install --quiet --no-index ${wheel}`;
        await run(workspace, ["bash", "-lc", install], "carbon");
        expect((await shell(job)).split("\n").at(-1)).toBe("('spark-worker-1', 42, False)");
        const ids = await run(worker, ["id", "--user", "carbon"]);
        expect(ids).toBe("1234");
        expect((await exec(worker, ["touch", "/home/carbon/x"], "carbon")).code).toBe(1);
    });
});
