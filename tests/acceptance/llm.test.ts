import type Docker from "dockerode";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hostPort, logs, removeAll, run, secrets } from "../image/base-container";
import { readImageJson } from "../image/base-image";
import { computeImage } from "../image/compute-image";
import { putModel, startLlm } from "../image/llm-server";

const image = computeImage();
const { platform, toolsets } = readImageJson(image);
const key = secrets.llm;

describe.runIf(toolsets.includes("llm"))("the LLM server", () => {
    let container: Docker.Container;
    let address: string;

    beforeAll(async () => {
        container = await startLlm({ image, ports: [8001] });
        address = `http://127.0.0.1:${await hostPort(container, 8001)}/v1`;
    });
    afterAll(removeAll);

    function ask(path: string, bearer: string, body?: unknown): Promise<Response> {
        return fetch(`${address}${path}`, {
            method: body ? "POST" : "GET",
            headers: { Authorization: `Bearer ${bearer}`, "Content-Type": "application/json" },
            body: body ? JSON.stringify(body) : undefined,
        });
    }

    it("has llama.cpp's libraries in its package alone", async () => {
        const found = await run(container, ["find", "/opt/carbon/venv", "-name", "libllama.so"]);
        expect(found).toBe("/opt/carbon/venv/lib/python3.13/site-packages/llama_cpp/lib/libllama.so");
    });

    it("computes with what each supported processor has", async () => {
        const ask = "import llama_cpp; print(llama_cpp.llama_print_system_info().decode())";
        const info = await run(container, ["/opt/carbon/venv/bin/python", "-c", ask]);
        const expected = platform === "linux/arm64" ? ["NEON"] : ["AVX2", "BMI2", "F16C", "FMA"];
        expect(expected.filter((name) => !info.includes(`${name} = 1`))).toEqual([]);
        expect(info).not.toContain("AVX512");
    });

    it("says what to do as long as there is no model, to those who have the key", async () => {
        const answer = await ask("/models", key);
        expect(answer.status).toBe(503);
        expect((await answer.json()).error.message).toMatch(/put a \.gguf file into the volume: docker cp /);
        expect((await ask("/models", "wrong")).status).toBe(401);
        expect(await logs(container)).toContain("no model yet");
    });

    it("serves a model as soon as it is in the volume", async () => {
        await putModel(container);
        const models = await (await ask("/models", key)).json();
        expect(models.data.map(({ id }: { id: string }) => id)).toEqual(["tiny"]);
    });

    it("completes a chat for those who have the key, and for nobody else", async () => {
        const chat = {
            model: "tiny",
            messages: [{ role: "user", content: "Hello" }],
            max_tokens: 4,
        };
        const answer = await ask("/chat/completions", key, chat);
        expect(answer.status).toBe(200);
        const { choices, usage } = await answer.json();
        expect(choices[0].message.role).toBe("assistant");
        expect(usage.completion_tokens).toBeGreaterThan(0);
        expect((await ask("/chat/completions", "wrong", chat)).status).toBe(401);
    });

    it("shows its key in no log, command line or environment", async () => {
        expect(await logs(container)).not.toContain(key);
        const everything = "for f in /proc/[0-9]*/cmdline /proc/[0-9]*/environ; do cat $f 2>&1; done";
        const shown = await run(container, ["sh", "-c", `${everything}; true`], "carbon");
        expect(shown).toContain("llm_server.py");
        expect(shown).not.toContain(key);
    });
});
