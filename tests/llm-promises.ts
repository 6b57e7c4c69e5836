import { expect, it } from "vitest";
import { until } from "./image/base-container";

/** An LLM server under test, with a folder of models that is empty at first. */
export interface TestedLlm {
    /** Without the API's path. */
    address: string;
    key: string;
    /** Makes a model in the folder, by tests/image/tiny_gguf.py; of `broken`, half of one. */
    put(
        file: string,
        kind: "chat" | "embedding" | "projector" | "broken",
        feedForward?: number,
    ): Promise<void>;
    remove(file: string): Promise<void>;
    log(): Promise<string>;
}

/** Of a model that takes milliseconds for a token, as real ones do. */
const slow = 16384;
const hello = [{ role: "user", content: "Hello" }];

/** What the LLM server promises, wherever it runs. Each test builds on the one before. */
export function itKeepsItsPromises(llm: () => TestedLlm): void {
    function ask(path: string, body?: unknown, options: RequestInit = {}): Promise<Response> {
        return fetch(`${llm().address}${path}`, {
            method: body === undefined ? "GET" : "POST",
            headers: { Authorization: `Bearer ${llm().key}`, "Content-Type": "application/json" },
            body: body === undefined ? undefined : JSON.stringify(body),
            ...options,
        });
    }

    async function answered(path: string, body?: unknown) {
        const answer = await ask(path, body);
        const text = await answer.text();
        expect(answer.status, text).toBe(200);
        return JSON.parse(text);
    }

    /** A chat that goes on to its limit of tokens. */
    function chat(tokens: number, more: object = {}) {
        return { messages: hello, max_tokens: tokens, ignore_eos: true, ...more };
    }

    /** Names of what is served, or why nothing is. */
    async function served(): Promise<string[] | string> {
        const { data, error } = await (await ask("/v1/models")).json();
        return data?.map(({ id }: { id: string }) => id) ?? error.message;
    }

    function untilServed(...names: string[]): Promise<void> {
        return until(`${names.join(", ")} served`, 120, async () => String(await served()) === String(names));
    }

    /** Reads a stream to its end; `onBegin` is called when its first piece is there. */
    async function readStream(tokens: number, signal?: AbortSignal, onBegin: () => unknown = () => {}) {
        const body = chat(tokens, { stream: true, stream_options: { include_usage: true } });
        const begin = performance.now();
        const answer = await ask("/v1/chat/completions", body, { signal });
        expect(answer.status).toBe(200);
        let text = "";
        for await (const piece of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
            if (text === "") {
                onBegin();
            }
            text += piece;
        }
        const pieces = text.split("\n\n").filter((line) => line.startsWith("data: {"));
        const parsed = pieces.map((line) => JSON.parse(line.slice("data: ".length)));
        const texts = parsed.filter(({ choices }) => choices[0]?.delta.content);
        const reason = parsed.find(({ choices }) => choices[0]?.finish_reason)?.choices[0].finish_reason;
        const written = parsed.find(({ usage }) => usage)?.usage.completion_tokens;
        return { pieces: texts.length, reason, written, seconds: (performance.now() - begin) / 1000 };
    }

    it("says what to do as long as there is no model, to those who have the key", async () => {
        expect((await ask("/v1/models")).status).toBe(503);
        expect(await served()).toMatch(/^no model yet: put a \.gguf file into /);
        expect((await ask("/v1/chat/completions", chat(1))).status).toBe(503);
        const wrong: HeadersInit[] = [{}, { Authorization: "Bearer wrong" }, { "X-Api-Key": "wrong" }];
        for (const headers of wrong) {
            expect((await ask("/v1/models", undefined, { headers })).status).toBe(401);
        }
        expect(await llm().log()).toContain("no model yet");
    });

    it("tells whoever asks for its health that it is there, and without the key no more than that", async () => {
        const answer = await ask("/health", undefined, { headers: {} });
        expect(answer.status).toBe(503);
        expect(await answer.json()).toEqual({ status: "no_model" });
    });

    it("names a broken file in its log and in its answer, and does not end of it", async () => {
        await llm().put("a-broken.gguf", "broken");
        const reason = /a-broken\.gguf cannot be served: .*not within the file bounds/;
        await until("the reason", 60, async () => reason.test(String(await served())));
        expect(await llm().log()).toMatch(reason);
        expect((await ask("/v1/models")).status).toBe(503);
    });

    it("serves the model beside it, a projector that sorts first being no model", async () => {
        await llm().put("a-projector.gguf", "projector");
        await llm().put("talk.gguf", "chat", slow);
        await untilServed("talk");
        expect(await (await ask("/health")).json()).toEqual({ status: "ok" });
        const { choices, usage } = await answered("/v1/chat/completions", chat(4));
        expect(choices[0].message.role).toBe("assistant");
        expect(usage.completion_tokens).toBe(4);
        expect((await ask("/v1/chat/completions", chat(1), { headers: {} })).status).toBe(401);
        expect(await (await ask("/metrics")).text()).toContain("llamacpp:tokens_predicted_total");
        expect((await ask("/metrics", undefined, { headers: {} })).status).toBe(401);
    });

    it("sees pictures through the projector", async () => {
        const url = `data:image/png;base64,${redPicture}`;
        const content = [
            { type: "text", text: "Hello" },
            { type: "image_url", image_url: { url } },
        ];
        const plain = await answered("/v1/chat/completions", chat(1));
        const seen = await answered("/v1/chat/completions", {
            ...chat(1),
            messages: [{ role: "user", content }],
        });
        expect(seen.usage.prompt_tokens).toBeGreaterThanOrEqual(plain.usage.prompt_tokens + 4);
    });

    it("goes on with a stream whatever else is asked, and tells its health at once meanwhile", async () => {
        let going = true;
        const stream = readStream(3900).finally(() => {
            going = false;
        });
        let answers = 0;
        while (going) {
            expect((await ask("/health")).status).toBe(200);
            expect(await served()).toEqual(["talk"]);
            answers += going ? 1 : 0;
            await answered("/v1/chat/completions", chat(2));
        }
        expect(await stream).toMatchObject({ written: 3900, reason: "length" });
        expect(answers).toBeGreaterThan(0);
    });

    it("answers several at a time, and none waits for the other's end", async () => {
        const streams = await Promise.all(Array.from({ length: 4 }, () => readStream(1000)));
        expect(streams.map(({ written }) => written)).toEqual(Array(4).fill(1000));
        // One after the other it would be 1.
        const metrics = await (await ask("/metrics")).text();
        const busy = /^llamacpp:n_busy_slots_per_decode (\S+)$/m.exec(metrics)?.[1];
        expect(Number(busy)).toBeGreaterThan(1);
    });

    it("lets go of a request whose client has gone away", async () => {
        const leaving = new AbortController();
        const tokens = 4000;
        let begun = 0;
        const leave = () => ++begun === 4 && leaving.abort();
        const asked = Array.from({ length: 4 }, () => readStream(tokens, leaving.signal, leave));
        const left = await Promise.allSettled(asked);
        expect(left.map(({ status }) => status)).toEqual(Array(4).fill("rejected"));
        const slots = async (): Promise<{ is_processing: boolean; n_prompt_tokens: number }[]> =>
            answered("/slots");
        await until("none is computed any more", 60, async () =>
            (await slots()).every(({ is_processing }) => !is_processing),
        );
        // What each has in its context: the question, and what was written before it was let go.
        expect(Math.max(...(await slots()).map((slot) => slot.n_prompt_tokens))).toBeLessThan(tokens);
    });

    it("is not harmed by bytes that are no text, in what it reads and in what it writes", async () => {
        const headers = { Authorization: `Bearer ${llm().key}`, "Content-Type": "application/json" };
        const broken = Buffer.concat([
            Buffer.from('{"prompt": "'),
            Buffer.from([0xff, 0xc3, 0x28]),
            Buffer.from('"}'),
        ]);
        const { status } = await ask("/v1/completions", "", { headers, body: broken });
        expect(status).toBeLessThan(500);
        // What the model writes is bytes at random, few of which make a letter.
        const [short, long] = [await readStream(500), await readStream(2000)];
        expect(long.pieces).toBeGreaterThan(200);
        expect(long.seconds).toBeLessThan(12 * Math.max(short.seconds, 0.5));
    });

    it("makes embeddings with the model that chats, and with one that is made for it once there is one", async () => {
        const texts = { input: ["Hello", "there"] };
        const chatting = await answered("/v1/embeddings", texts);
        expect(chatting.data.map(({ embedding }: { embedding: number[] }) => embedding.length)).toEqual([
            64, 64,
        ]);
        expect(chatting.model).toBe("talk");
        await llm().put("a-texts.gguf", "embedding");
        await untilServed("talk", "a-texts");
        const made = await answered("/v1/embeddings", texts);
        expect(made.model).toBe("a-texts");
        expect(made.data[0].embedding).not.toEqual(chatting.data[0].embedding);
        // Longer than what llama.cpp takes at once unless it is told otherwise.
        await answered("/v1/embeddings", { input: "a".repeat(1500) });
        expect((await answered("/v1/chat/completions", chat(2))).model).toBe("talk");
    });

    it("serves the next model when a file is replaced or removed", async () => {
        await llm().put("talk.gguf", "chat");
        await untilServed("a-texts");
        await untilServed("talk", "a-texts");
        await llm().remove("talk.gguf");
        await untilServed("a-texts");
        expect((await ask("/v1/chat/completions", chat(1))).status).toBe(503);
    });

    it("shows its key in no log", async () => {
        expect(await llm().log()).not.toContain(llm().key);
    });
}

/** A PNG of 8 by 8 points. */
const redPicture =
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEklEQVR4nGP4z8CAFWEXHbQSACj/P8Fu7N9hAAAAAElFTkSuQmCC";
