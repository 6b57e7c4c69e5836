import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type Docker from "dockerode";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EXAMPLES_FOLDER, findExamples } from "../examples";
import {
    makeNetwork,
    makeVolume,
    type RoleArgs,
    removeAll,
    run,
    startHealthy,
    untilHealthy,
} from "../image/base-container";
import { readImageJson } from "../image/base-image";
import { computeImage, pythonChecks } from "../image/compute-image";
import { type Output, plainText } from "../image/jupyter";
import { llmEnv, putModel, startLlm } from "../image/llm-server";

const PYTHON = "/opt/carbon/venv/bin/python";
/** Where the pictures of the notebooks go, to be looked at. */
const pictureFolder = resolve(__dirname, "../../test-results/examples");

const image = computeImage();
const { toolsets } = readImageJson(image);
const examples = findExamples()
    .filter(({ toolset }) => ["always", ...toolsets].includes(toolset))
    .map(({ name }) => name);

afterAll(removeAll);

/** A workspace of which nothing is published: a network without the internet leads not to the host either. */
function startWorkspace(args: Partial<RoleArgs>): Promise<Docker.Container> {
    return startHealthy({ image, role: "workspace", ...args });
}

/** PostgreSQL, an LLM server with a model, and Spark with a worker, as far as the image has them; the workspace's part. */
async function startServices(network: Docker.Network): Promise<Partial<RoleArgs>> {
    const services: string[] = [];
    const events = `${await makeVolume()}:/var/lib/spark/events`;
    const start = async (role: string, args: Partial<RoleArgs> = {}) => {
        await startHealthy({ image, role, host: { network, name: role }, ...args });
        services.push(role);
    };
    if (toolsets.includes("databases")) {
        await start("postgres");
    }
    if (toolsets.includes("llm")) {
        await putModel(await startLlm({ image, host: { network, name: "llm" } }));
        services.push("llm");
    }
    if (toolsets.includes("spark")) {
        await start("spark-master", { binds: [events] });
        await start("spark-worker");
    }
    return {
        binds: [events],
        stack: { services },
        env: services.includes("llm") ? llmEnv() : {},
    };
}

/** A cell's output, as nbformat 4 has it. */
interface CellOutput extends Output {
    output_type: string;
    /** Of a stream. */
    name?: string;
}

/** Runs the workspace's copy of a notebook as its user, and returns everything that its cells gave. */
async function execute(workspace: Docker.Container, name: string): Promise<CellOutput[]> {
    // A login shell has the environment that JupyterLab's own kernels have.
    const command = `/opt/carbon/venv/bin/jupyter execute --output=/tmp/${name}.ipynb ${name}.ipynb`;
    await run(workspace, ["bash", "-lc", `cd /workspace/examples && ${command}`], "carbon");
    const { cells } = JSON.parse(await run(workspace, ["cat", `/tmp/${name}.ipynb`]));
    return cells.flatMap((cell: { outputs?: CellOutput[] }) => cell.outputs ?? []);
}

/** Lines on stderr that do not count: the modules that Spark starts Java with, and a slow machine's first executor. */
const unavoidable = [
    /^WARNING: Using incubator modules: jdk\.incubator\.vector\n/gm,
    /^.* WARN TaskSchedulerImpl: Initial job has not accepted any resources; .*\n/gm,
];

function complaints(outputs: CellOutput[]): string[] {
    const spoken = outputs.filter(({ output_type, name }) => output_type === "error" || name === "stderr");
    return spoken
        .map((output) =>
            unavoidable.reduce((text, line) => text.replaceAll(line, ""), [output.text].flat().join("")),
        )
        .filter(Boolean);
}

function savePictures(folder: string, name: string, outputs: CellOutput[]): void {
    mkdirSync(folder, { recursive: true });
    const pictures = outputs.flatMap(({ data }) => data?.["image/png"] ?? []);
    for (const [index, picture] of pictures.entries()) {
        writeFileSync(join(folder, `${name}-${index + 1}.png`), Buffer.from(picture, "base64"));
    }
}

it("are in the image, those of the toolsets that it has", async () => {
    const { stdout } = await execa("docker", ["run", "--rm", image, "ls", EXAMPLES_FOLDER]);
    expect(stdout.split("\n")).toEqual(examples.map((name) => `${name}.ipynb`));
});

/** What the notebooks that know a service of the suite say where it is off. */
const withoutServices = {
    "02-sql": "add postgres to the setting services",
    "03-sql-kernel": "v1.", // DuckDB's version
    "06-rag": "add postgres to the setting services",
    "08-llm-server": "add llm to the setting services",
    "09-spark": "at local[*]",
};

/** What they say where it is on: every service that the image has. */
const withServices: Partial<typeof withoutServices> = {
    ...(toolsets.includes("databases") && {
        "02-sql": "PostgreSQL 17 at postgres",
        "03-sql-kernel": "PostgreSQL 17",
        "06-rag": "postgres: on",
    }),
    "08-llm-server": "The model is tiny",
    "09-spark": "at spark://spark-master:7077",
};

describe.each([
    {
        where: "beside the suite's services",
        folder: pictureFolder,
        prepare: startServices,
        concerned: () => true,
        says: withServices,
    },
    {
        where: "in a workspace alone",
        folder: join(pictureFolder, "alone"),
        prepare: async () => ({}),
        concerned: (name: string) => name in withoutServices,
        says: withoutServices,
    },
])("$where, without the internet,", ({ folder, prepare, concerned, says }) => {
    let workspace: Docker.Container;

    beforeAll(async () => {
        const network = await makeNetwork({ internal: true });
        workspace = await startWorkspace({
            ...(await prepare(network)),
            host: { network, name: "workspace" },
        });
    });
    afterAll(removeAll);

    it.each(examples.filter(concerned))(
        "%s runs without a complaint, and its pictures show something",
        async (name) => {
            const outputs = await execute(workspace, name);
            savePictures(folder, name, outputs);
            expect(complaints(outputs)).toEqual([]);
            expect(outputs.map(plainText).join("\n")).toContain(says[name as keyof typeof says] ?? "");
            const measure = [PYTHON, "-c", pythonChecks.pictures, JSON.stringify(`/tmp/${name}.ipynb`)];
            for (const [width, height, drawn] of JSON.parse(await run(workspace, measure, "carbon"))) {
                expect(Math.min(width, height)).toBeGreaterThan(200);
                expect(drawn).toBeGreaterThan(0.02);
            }
        },
    );
});

describe("a workspace", () => {
    const copies = "/workspace/examples";

    async function restart(container: Docker.Container): Promise<void> {
        await container.restart({ t: 30 });
        await untilHealthy(container, 120);
    }

    function startOn(workspace: string): Promise<Docker.Container> {
        return startWorkspace({ binds: [workspace] });
    }

    it("gets copies that are the user's while it is new, and never again", async () => {
        const container = await startOn(`${await makeVolume()}:/workspace`);
        expect(await run(container, ["diff", "--recursive", EXAMPLES_FOLDER, copies])).toBe("");
        expect(await run(container, ["find", copies, "!", "-user", "carbon"])).toBe("");

        await run(container, ["sh", "-c", `rm ${copies}/01-*; echo mine > ${copies}/02-sql.ipynb`], "carbon");
        await restart(container);
        expect(await run(container, ["ls", copies])).not.toContain("01-");
        expect(await run(container, ["cat", `${copies}/02-sql.ipynb`])).toBe("mine");

        await run(container, ["rm", "-r", copies], "carbon");
        await restart(container);
        expect(await run(container, ["ls", "--almost-all", "/workspace"])).toBe("");
    });

    it("gets none where there are files, or where it is read-only", async () => {
        const volume = await makeVolume();
        const fill = "touch /workspace/mine && chown --recursive carbon: /workspace";
        await execa("docker", ["run", "--rm", `-v${volume}:/workspace`, image, "sh", "-c", fill]);
        const full = await startOn(`${volume}:/workspace`);
        expect(await run(full, ["ls", "/workspace"])).toBe("mine");
        const readOnly = await startOn(`${await makeVolume()}:/workspace:ro`);
        expect(await run(readOnly, ["ls", "/workspace"])).toBe("");
    });
});
