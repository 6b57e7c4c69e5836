import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { DockerInfo } from "../../../cli/docker";
import { checkLlm } from "../../../cli/preflight/llm";
import { llmServerArguments, llmServerPackages, llmServerSource } from "../../../host/llm";

// An engine in a machine of its own: containers then reach what listens on this one's loopback.
const desktop = { OperatingSystem: "Docker Desktop" } as DockerInfo;
const servers: Server[] = [];
const folders: string[] = [];

afterEach(() => {
    for (const server of servers.splice(0)) {
        server.close();
    }
    for (const folder of folders.splice(0)) {
        rmSync(folder, { recursive: true });
    }
    vi.unstubAllEnvs();
});

/** A server with OpenAI's API, which answers all with a status; its port. */
async function serve(status: number, key?: string): Promise<number> {
    const server = createServer(({ headers }, answer) => {
        answer.statusCode = key && headers.authorization !== `Bearer ${key}` ? 404 : status;
        answer.end("{}");
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return (server.address() as AddressInfo).port;
}

/** The host's folder, with a key where one is installed. */
function installed(key?: string): void {
    const folder = mkdtempSync(join(tmpdir(), "carbon-host-"));
    folders.push(folder);
    if (key) {
        writeFileSync(join(folder, "llm-key"), `${key}\n`);
    }
    vi.stubEnv("CARBON_GPU_HOME", folder);
}

function named(port: number, path = "/v1", llmKey = "") {
    const llmUrl = `http://host.docker.internal:${port}${path}`;
    return { llm: "host", llmUrl, llmKey, llmAddress: llmUrl } as const;
}

function own(port: number) {
    const llmAddress = `http://host.docker.internal:${port}/v1`;
    return { llm: "host", llmUrl: "", llmKey: "", llmAddress } as const;
}

const nowhere = [{ name: "Nobody", port: 1, path: "/v1" }];

describe("the LLM server on this machine", () => {
    it("is looked for with llm: host alone", async () => {
        expect(await checkLlm({ llm: "service", llmUrl: "", llmKey: "" }, desktop)).toBeUndefined();
        const elsewhere = { llm: "url", llmUrl: "http://127.0.0.1:1/v1", llmKey: "" } as const;
        expect(await checkLlm({ ...elsewhere, llmAddress: elsewhere.llmUrl }, desktop)).toBeUndefined();
    });

    it.each([200, 401, 503])("is there where it answers %s", async (status) => {
        expect(await checkLlm(named(await serve(status)), desktop, nowhere)).toMatchObject({ status: "ok" });
    });

    it("is asked with its key", async () => {
        const port = await serve(200, "TheKey");
        expect(await checkLlm(named(port, "/v1", "TheKey"), desktop, nowhere)).toMatchObject({
            status: "ok",
        });
        expect(await checkLlm(named(port, "/v1", "Another"), desktop, nowhere)).toMatchObject({
            status: "warning",
        });
        installed("TheKey");
        expect(await checkLlm(own(port), desktop, nowhere)).toMatchObject({ status: "ok" });
    });

    it("is missed by its address, with those that answer instead", async () => {
        const port = await serve(200);
        const known = [...nowhere, { name: "Ollama", port, path: "/v1" }];
        expect(await checkLlm(named(1), desktop, known)).toEqual({
            title: "LLM",
            status: "warning",
            detail: "no LLM server answers at http://host.docker.internal:1/v1",
            advice: `Start it. Ollama answers: set carbon:llmUrl to http://host.docker.internal:${port}/v1 for it.`,
        });
    });

    it("is missed where none answers", async () => {
        const { detail, advice } = (await checkLlm(named(1), desktop, nowhere)) ?? {};
        expect(detail).toContain("nor does one that is known on another port of this machine");
        expect(advice).toBe("Start it.");
        installed("TheKey");
        expect(await checkLlm(own(1), desktop, nowhere)).toMatchObject({
            advice: "Type: ./carbon gpu start.",
        });
    });

    it("is a failure where the suite's own is not installed", async () => {
        installed();
        const port = await serve(200);
        expect(await checkLlm(own(1), desktop, nowhere)).toEqual({
            title: "LLM",
            status: "failure",
            detail: "carbon:llm is host, and no LLM server of the suite's is installed on this machine",
            advice: "Type: ./carbon gpu install. Or name another with carbon:llmUrl.",
        });
        const known = [{ name: "LM Studio", port, path: "/v1" }];
        const { advice } = (await checkLlm(own(1), desktop, known)) ?? {};
        expect(advice).toContain("LM Studio answers: set carbon:llmUrl to ");
    });
});

describe("the host's LLM server", () => {
    it("is the image's file, which imports its packages and Python's own modules alone", () => {
        const source = readFileSync(llmServerSource, "utf8");
        const imported = [...source.matchAll(/^\s*(?:from|import) ([a-z_]+)/gm)].map(([, name]) => name);
        const pythons = [
            ...["__future__", "argparse", "asyncio", "collections", "contextlib", "dataclasses", "functools"],
            ...["hmac", "itertools", "json", "os", "pathlib", "re", "signal", "struct", "sys", "tempfile"],
            ...["time", "typing"],
        ];
        expect(new Set(imported)).toEqual(new Set([...pythons, ...llmServerPackages]));
    });

    it("is told where its key lies, and never the key", () => {
        const place = { address: "127.0.0.1", port: 8011 };
        expect(llmServerArguments("/home/me/gpu/lib/llm_server.py", "/home/me/gpu", place)).toEqual([
            ...["-I", "/home/me/gpu/lib/llm_server.py", "--models", "/home/me/gpu/models"],
            ...["--key-file", "/home/me/gpu/llm-key", "--address", "127.0.0.1", "--port", "8011"],
            ...["--how-to-add", "into /home/me/gpu/models, or type: ./carbon models pull --place host"],
            ...["--how-to-read", "type: chmod u+r /home/me/gpu/models/*.gguf"],
        ]);
    });
});
