import type Docker from "dockerode";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hostPort, logs, removeAll, run, secrets } from "../image/base-container";
import { readImageJson } from "../image/base-image";
import { computeImage } from "../image/compute-image";
import { putModel, startLlm } from "../image/llm-server";
import { itKeepsItsPromises } from "../llm-promises";

const image = computeImage();
const { platform, toolsets } = readImageJson(image);
const key = secrets.llm;
const python = "/opt/carbon/venv/bin/python";

describe.runIf(toolsets.includes("llm"))("the LLM server", () => {
    let container: Docker.Container;
    let address: string;

    beforeAll(async () => {
        container = await startLlm({ image, ports: [8001] });
        address = `http://127.0.0.1:${await hostPort(container, 8001)}`;
    });
    afterAll(removeAll);

    it("leaves llama.cpp to notebooks, with its libraries in its package alone", async () => {
        const found = await run(container, ["find", "/opt/carbon/venv", "-name", "libllama.so"]);
        expect(found).toBe("/opt/carbon/venv/lib/python3.13/site-packages/llama_cpp/lib/libllama.so");
    });

    it.each([
        ["llama_cpp", "llama_cpp.llama_print_system_info().decode()"],
        ["xllamacpp", "xllamacpp.get_system_info()"],
    ])("computes with what each supported processor has, in %s", async (module, told) => {
        const info = await run(container, [python, "-c", `import ${module}; print(${told})`]);
        const expected = platform === "linux/arm64" ? ["NEON"] : ["AVX2", "BMI2", "F16C", "FMA"];
        expect(expected.filter((name) => !info.includes(`${name} = 1`))).toEqual([]);
        expect(info).not.toContain("AVX512");
    });

    it("says how to put a model into its volume", async () => {
        const answer = await fetch(`${address}/v1/models`, { headers: { Authorization: `Bearer ${key}` } });
        expect((await answer.json()).error.message).toMatch(
            /put a \.gguf file into the volume: \.\/carbon models pull NAME, or docker cp model\.gguf carbon-[a-z<>-]+-llm:\/models\/$/,
        );
    });

    itKeepsItsPromises(() => ({
        address,
        key,
        async put(file, kind, feedForward = 128) {
            const path = `/models/${file}`;
            const arguments_ = [kind === "broken" ? "chat" : kind, String(feedForward)];
            await run(container, [python, "/tiny_gguf.py", path, ...arguments_]);
            if (kind === "broken") {
                await run(container, ["truncate", "--size=20000", path]);
            }
        },
        async remove(file) {
            await run(container, ["rm", `/models/${file}`]);
        },
        log: () => logs(container),
    }));

    it("is well as long as it has no model, and with one", async () => {
        await run(container, ["carbon-health"]);
        await putModel(container);
        await run(container, ["carbon-health"]);
    });

    it("shows its key in no command line or environment", async () => {
        const everything = "for f in /proc/[0-9]*/cmdline /proc/[0-9]*/environ; do cat $f 2>&1; done";
        const shown = await run(container, ["sh", "-c", `${everything}; true`], "carbon");
        expect(shown).toContain("llm_server.py");
        expect(shown).not.toContain(key);
    });
});
