import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { modelCatalogue } from "../../../catalogue/models";
import { container, healthyDocker, obedientPulumi, portOffset, type Rule, running, sandbox } from "./harness";

const settings = { portOffset, toolsets: ["llm"], services: ["llm"] };
const volume = { match: "^volume ls ", stdout: "carbon-dev-llm\n" };
const file = { name: "Qwen3-0.6B-Q8_0.gguf", kind: "file", bytes: 639_446_688, complete: true };

/** What the program in the container answers, a document a line. */
function answers(...documents: object[]): Rule {
    return {
        match: "^run ",
        reads: true,
        stdout: documents.map((document) => `${JSON.stringify(document)}\n`).join(""),
    };
}

/** What the service llm says that it serves. */
function serving(...ids: string[]): Rule {
    return { match: "^exec .*v1/models", stdout: JSON.stringify({ data: ids.map((id) => ({ id })) }) };
}

const silent = { match: "^exec ", code: 22 };

/** A project with the service llm, and an engine that answers by these rules. */
function box(rules: Rule[], more: Record<string, unknown> = {}) {
    const created = sandbox();
    created.configure({ ...settings, ...more });
    created.install("docker", [...rules, volume, ...healthyDocker]);
    return created;
}

function request(created: ReturnType<typeof box>) {
    const call = created.calls("docker").find(({ args }) => args[0] === "run");
    return { args: call?.args.join(" ") ?? "", ...JSON.parse(call?.input ?? "{}") };
}

describe("carbon models list", () => {
    it("shows the catalogue beside what is there, and what is served", async () => {
        const part = { name: "qwen2.5-coder-7b-instruct-q4_k_m.gguf", bytes: 2_341_536_768, complete: false };
        const other = { name: "mine.gguf", kind: "file", bytes: 5e6, complete: true };
        const models = [file, { ...part, kind: "file", total: 4_683_073_536 }, other];
        const created = box([answers({ models, free: 30e9 }), serving("/models/mine.gguf")]);
        const { stdout, exitCode } = await created.carbon(["models"]);
        expect(exitCode).toBe(0);
        expect(stdout).toMatch(
            /^qwen3-0\.6b +general +639 MB +1\.3 GB +Apache-2\.0 +yes +Qwen3 0\.6B, 8 bits$/m,
        );
        expect(stdout).toMatch(/^qwen2\.5-coder-7b .* 50 % /m);
        expect(stdout).toMatch(/^qwen3-8b .* - +Qwen3 8B/m);
        expect(stdout).toMatch(/^mine\.gguf +- +5 MB +- +- +served$/m);
        expect(stdout).toContain("In the volume carbon-dev-llm; 30.0 GB free.");

        const document = JSON.parse((await created.carbon(["models", "list", "--json"])).stdout);
        expect(document.place).toEqual({ kind: "volume", words: "the volume carbon-dev-llm", free: 30e9 });
        expect(document.models).toHaveLength(modelCatalogue.length);
        expect(document.models[0]).toMatchObject({ name: "qwen3-0.6b", state: "complete", served: false });
        expect(document.others).toEqual([{ ...other, served: true }]);
    });

    it("calls a model with pictures complete when its projector is there, too", async () => {
        const model = { ...file, name: "SmolVLM-500M-Instruct-Q8_0.gguf", bytes: 436_806_912 };
        const projector = { ...file, name: "mmproj-SmolVLM-500M-Instruct-Q8_0.gguf", bytes: 108_783_360 };
        const without = box([answers({ models: [model], free: 0 }), silent]);
        expect((await without.carbon(["models"])).stdout).toMatch(/^smolvlm-500m .* 80 % /m);
        const complete = box([answers({ models: [model, projector], free: 0 }), silent]);
        expect((await complete.carbon(["models"])).stdout).toMatch(/^smolvlm-500m .* yes /m);
    });

    it("makes no volume by looking", async () => {
        const created = sandbox();
        created.configure(settings);
        created.install("docker", healthyDocker);
        const { stdout, exitCode } = await created.carbon(["models", "list"]);
        expect(exitCode).toBe(0);
        expect(stdout).toMatch(/^qwen3-4b .* - +Qwen3 4B/m);
        expect(created.commands("docker").filter((command) => command.startsWith("run "))).toEqual([]);
    });

    it("shows the catalogue alone where Docker does not answer", async () => {
        const created = sandbox();
        created.configure(settings);
        created.install("docker", [{ match: "", code: 1, stderr: "Cannot connect to the Docker daemon\n" }]);
        const { stdout, stderr, exitCode } = await created.carbon(["models", "list"]);
        expect(exitCode).toBe(0);
        expect(stdout).toContain("qwen3-4b");
        expect(stderr).toContain("What is there cannot be seen. Docker does not answer");
    });

    it("shows a name that would drive the terminal as text", async () => {
        const attack = "a\x1b]0;owned\x07\n\u202e.gguf";
        const created = box([answers({ models: [{ ...file, name: attack }], free: 0 }), serving(attack)]);
        const { stdout } = await created.carbon(["models"]);
        expect(stdout).toContain("a\\x1b]0;owned\\x07 \\u202e.gguf");
        expect(stdout).not.toContain("\x1b");
    });
});

describe("carbon models pull", () => {
    const pulled = { pulled: [{ name: file.name, bytes: file.bytes, fresh: true }] };

    it("pulls in a container that has the volume and no rights", async () => {
        const created = box([answers({ pulling: file.name, done: 0, total: 100 }, pulled), silent]);
        const { stdout, exitCode } = await created.carbon(["models", "pull", "qwen3-0.6b"]);
        expect(exitCode).toBe(0);
        expect(stdout).toContain("From huggingface.co into the volume carbon-dev-llm.");
        expect(stdout).toContain(`${file.name}: pulled and verified (639 MB).`);
        const { args, ...asked } = request(created);
        expect(args).toMatch(
            /^run --rm --interactive --pull=never .*--read-only .*--cap-drop=ALL .*--mount=type=volume,source=carbon-dev-llm,target=\/models /,
        );
        expect(args).not.toMatch(/--env|-v |--volume|--network/);
        expect(asked).toMatchObject({
            action: "pull",
            folder: "/models",
            endpoint: "https://huggingface.co",
        });
        expect(asked.files).toEqual([
            expect.objectContaining({
                repo: "Qwen/Qwen3-0.6B-GGUF",
                revision: "23749fefcc72300e3a2ad315e1317431b06b590a",
                file: file.name,
                name: file.name,
            }),
        ]);
    });

    it("tells how far it is on a line for every tenth, without a terminal", async () => {
        const progress = [5, 14, 16, 99].map((done) => ({
            progress: file.name,
            done: done * 1e7,
            total: 1e9,
        }));
        const created = box([
            answers({ pulling: file.name, done: 0, total: 1e9 }, ...progress, pulled),
            silent,
        ]);
        const { stdout } = await created.carbon(["models", "pull", "qwen3-0.6b"]);
        expect(stdout.match(/\d+ % of 1\.0 GB/g)).toEqual(["14 % of 1.0 GB", "99 % of 1.0 GB"]);
    });

    it("hands the token over by a pipe, and shows it nowhere", async () => {
        const created = box([answers(pulled), silent], { environment: { HF_TOKEN: "hf_s3cret" } });
        const { stdout, stderr } = await created.carbon(["models", "pull", "qwen3-0.6b"]);
        expect(request(created).token).toBe("hf_s3cret");
        expect(JSON.stringify(created.calls("docker").map(({ args, env }) => ({ args, env })))).not.toContain(
            "s3cret",
        );
        expect(stdout + stderr).not.toContain("s3cret");
    });

    it("opens a token that the stack's file has encrypted", async () => {
        const created = box([answers(pulled), silent], { environment: { HF_TOKEN: { secure: "v1:x" } } });
        const clear = JSON.stringify({ HF_TOKEN: "hf_s3cret", OTHER: "1" });
        const config = {
            match: "^config --json --show-secrets ",
            stdout: JSON.stringify({ "carbon:environment": { value: clear } }),
        };
        created.install("pulumi", [config, ...obedientPulumi]);
        await created.carbon(["models", "pull", "qwen3-0.6b"]);
        expect(request(created).token).toBe("hf_s3cret");
    });

    it("gives the token of a login to Hugging Face's own hub alone", async () => {
        const created = box([answers(pulled), silent]);
        mkdirSync(join(created.dir, ".cache", "huggingface"), { recursive: true });
        writeFileSync(join(created.dir, ".cache", "huggingface", "token"), "hf_login\n");
        await created.carbon(["models", "pull", "qwen3-0.6b"]);
        expect(request(created).token).toBe("hf_login");
        const mirrored = box([answers(pulled), silent], {
            environment: { HF_ENDPOINT: "https://mirror.example/hf/" },
        });
        mkdirSync(join(mirrored.dir, ".cache", "huggingface"), { recursive: true });
        writeFileSync(join(mirrored.dir, ".cache", "huggingface", "token"), "hf_login\n");
        await mirrored.carbon(["models", "pull", "qwen3-0.6b"]);
        expect(request(mirrored)).toMatchObject({ endpoint: "https://mirror.example/hf" });
        expect(request(mirrored).token).toBeUndefined();
    });

    it("reaches a mirror and a proxy on this machine by the name that it has in containers", async () => {
        const created = box([answers(pulled), silent], { proxy: "http://127.0.0.1:3128" });
        await created.carbon(["models", "pull", "qwen3-0.6b"], { HF_ENDPOINT: "http://localhost:8080" });
        const asked = request(created);
        expect(asked.endpoint).toBe("http://host.docker.internal:8080");
        expect(asked.environment).toMatchObject({ HTTPS_PROXY: "http://host.docker.internal:3128" });
        expect(Object.keys(asked.environment)).not.toContain("HF_ENDPOINT");
    });

    it.each([
        ["ftp://mirror.example", "HF_ENDPOINT is no address of a hub. Allowed: an http or https address"],
        ["mirror", "HF_ENDPOINT is no address of a hub."],
        ["https://me:s3cret@mirror.example", "HF_ENDPOINT holds a password."],
    ])("refuses the hub %s", async (HF_ENDPOINT, message) => {
        const created = box([]);
        const { stderr, exitCode } = await created.carbon(["models", "pull", "qwen3-0.6b"], { HF_ENDPOINT });
        expect(exitCode).toBe(1);
        expect(stderr).toContain(message);
        expect(stderr).not.toContain("s3cret");
        expect(created.commands("docker").filter((command) => command.startsWith("run "))).toEqual([]);
    });

    it.each(["qwen", "hf:me/models:../y.gguf", "hf:me/models:a\x1b[2Jy.gguf"])(
        "refuses %j before anything is asked",
        async (reference) => {
            const created = box([]);
            const { stderr, exitCode } = await created.carbon(["models", "pull", reference]);
            expect(exitCode).toBe(2);
            expect(stderr).toContain("Allowed: ");
            expect(stderr).not.toContain("\x1b");
            expect(created.calls()).toEqual([]);
        },
    );

    it("gives a file the name that is asked for", async () => {
        const created = box([answers({ pulled: [] }), silent]);
        await created.carbon(["models", "pull", "hf:me/one:model.gguf", "--as", "one.gguf"]);
        expect(request(created).files).toEqual([{ repo: "me/one", file: "model.gguf", name: "one.gguf" }]);
    });

    it("says what went wrong in the program's own sentence", async () => {
        const created = box([{ ...answers({ error: "me/models has no file\x1b[2J x.gguf." }), code: 1 }]);
        const { stderr, exitCode } = await created.carbon(["models", "pull", "hf:me/models:x.gguf"]);
        expect(exitCode).toBe(1);
        expect(stderr).toBe("error: me/models has no file\\x1b[2J x.gguf.");
    });

    it("says what Docker says where the container does not start", async () => {
        const created = box([
            { match: "^run ", code: 125, stderr: "docker: no such runtime\nSee 'docker run --help'.\n" },
        ]);
        const { stderr, exitCode } = await created.carbon(["models", "pull", "qwen3-0.6b"]);
        expect(exitCode).toBe(1);
        expect(stderr).toContain("Looking after the models failed: docker: no such runtime");
    });

    it("ends the program at Ctrl-C by closing its pipe", async () => {
        const created = box([{ ...answers({ pulling: file.name, done: 0, total: 100 }), untilClosed: true }]);
        const run = created.start(["models", "pull", "qwen3-0.6b"]);
        while (!created.commands("docker").some((command) => command.startsWith("run "))) {
            await sleep(50);
        }
        run.kill("SIGINT");
        const { exitCode, stderr } = await run;
        expect(exitCode).toBe(130);
        expect(stderr).toContain("What has come is kept; the same command goes on from there.");
        expect(stderr).toContain("Interrupted.");
    });

    it.each([
        [
            { services: [] },
            silent,
            "Nothing serves it yet: add llm to carbon:services, and type: ./carbon up",
        ],
        [
            {},
            serving("other"),
            `The service llm serves other. To have ${file.name} instead, set carbon:llmModel to it`,
        ],
        [{ llmModel: file.name }, serving("other"), "at its next start: docker restart carbon-dev-llm"],
    ])("says what the service takes to serve it: %j", async (more, rule, advice) => {
        const created = box([answers(pulled), rule], more);
        expect((await created.carbon(["models", "pull", "qwen3-0.6b"])).stdout).toContain(advice);
    });

    it("warns of a model that the service has too little memory for", async () => {
        const created = box([answers({ pulled: [] }), silent], { serviceMemory: { llm: 2048 } });
        const { stderr } = await created.carbon(["models", "pull", "qwen3-8b"]);
        expect(stderr).toContain(
            "qwen3-8b takes about 6.1 GB of memory, and the service llm may use 2.1 GB.",
        );
    });

    it("takes the image that runs where the settings' own is not built", async () => {
        const llm = container("llm");
        const created = box([
            { match: "^image inspect ", code: 1 },
            ...running({ ...llm, Config: { ...llm.Config, Image: "localhost/carbon/compute:old" } }),
            answers({ pulled: [] }),
            silent,
        ]);
        await created.carbon(["models", "pull", "qwen3-0.6b"]);
        expect(request(created).args).toContain("python localhost/carbon/compute:old -I ");
    });

    it.each([
        [{ toolsets: ["databases"], services: [] }, "the toolset llm, which this stack leaves out"],
        [
            { compute: false, toolsets: ["databases"], services: [] },
            "the toolset llm, which this stack leaves out",
        ],
        [{}, "which the hub's client is in, is not here. Type: ./carbon build"],
    ])("says what is missing: %j", async (more, message) => {
        const created = box([{ match: "^image inspect ", code: 1 }], more);
        const { stderr, exitCode } = await created.carbon(["models", "pull", "qwen3-0.6b"]);
        expect(exitCode).toBe(1);
        expect(stderr).toContain(message);
    });
});

describe("carbon models remove", () => {
    const there = { models: [file, { ...file, name: "b\n.gguf" }], free: 0 };
    const rules = (removed: string[]): Rule[] => [answers(there, { removed }), silent];

    it("removes a model of the catalogue, and any file by its name", async () => {
        const created = box(rules([file.name]));
        const { stdout } = await created.carbon(["models", "remove", "qwen3-0.6b", "b\n.gguf", "--yes"]);
        expect(stdout).toBe(`Removed: ${file.name}`);
        const calls = created.calls("docker").filter(({ args }) => args[0] === "run");
        expect(JSON.parse(calls.at(-1)?.input ?? "")).toEqual({
            action: "remove",
            folder: "/models",
            names: [file.name, "b\n.gguf"],
        });
    });

    it("asks first", async () => {
        const { stderr, exitCode } = await box(rules([])).carbon(["models", "remove", "qwen3-0.6b"]);
        expect(exitCode).toBe(2);
        expect(stderr).toContain("models remove needs a yes, and nobody can be asked here.");
    });

    it.each(["..", "\x1b[2J"])("refuses %j, which is not there, and says what is", async (name) => {
        const created = box(rules([]));
        const { stderr, exitCode } = await created.carbon(["models", "remove", name, "--yes"]);
        expect(exitCode).toBe(2);
        expect(stderr).toContain(`in the volume carbon-dev-llm. It has: ${file.name}, b`);
        expect(stderr).not.toContain("\x1b");
        expect(created.calls("docker").filter(({ args }) => args[0] === "run")).toHaveLength(1);
    });

    it("says that the service goes on with a model that it has loaded", async () => {
        const created = box([answers(there, { removed: [file.name] }), serving("Qwen3-0.6B-Q8_0")]);
        const { stdout } = await created.carbon(["models", "remove", "qwen3-0.6b", "--yes"]);
        expect(stdout).toContain("until its next start: docker restart carbon-dev-llm");
    });
});

describe("carbon models with the host's folder", () => {
    it("says what to install where the host's server is missing", async () => {
        const created = box([]);
        const { stderr, exitCode } = await created.carbon(
            ["models", "pull", "qwen3-0.6b", "--place", "host"],
            {
                CARBON_GPU_HOME: join(created.dir, "gpu"),
            },
        );
        expect(exitCode).toBe(1);
        expect(stderr).toContain("the host's LLM server is not installed. Set carbon:llm to host");
    });

    it("runs the same program there, without Docker", async () => {
        const created = box([]);
        const home = join(created.dir, "gpu");
        const python = join(home, "envs", "llm", "bin", "python");
        mkdirSync(join(python, ".."), { recursive: true });
        const script = `#!${process.execPath}\nconst fs = require("node:fs");
            fs.writeFileSync(process.env.HOME + "/asked", JSON.stringify(process.argv.slice(2)));
            console.log(JSON.stringify({ models: [], free: 1e9 }));`;
        writeFileSync(python, script);
        chmodSync(python, 0o755);
        const { stdout, stderr } = await created.carbon(["models", "list", "--place", "host"], {
            CARBON_GPU_HOME: home,
        });
        expect(stderr).toBe("");
        expect(stdout).toContain(`In the folder ${home}/models; 1.0 GB free.`);
        expect(created.commands("docker").filter((command) => !command.startsWith("info "))).toEqual([]);
    });
});
