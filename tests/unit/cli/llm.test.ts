import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { DockerInfo } from "../../../cli/docker";
import { programText } from "../../../cli/host/processes";
import { checkLlm } from "../../../cli/preflight/llm";
import { environmentDigest, machineKind, pins } from "../../../host/environments";
import { ensureHome, renewSecret, writeConfig } from "../../../host/home";
import { hostPrograms } from "../../../host/llm";
import { llmSecrets } from "../../../host/llmSecrets";

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

/** Settings that concern this machine, of a stack that has no kernels on it. */
const plain = {
    gpu: "off",
    gpuPort: 1,
    stack: "dev",
    workspaceDir: "/somewhere",
    llmHostPort: 1,
    llmModel: "auto",
} as const;

/** The host's folder; with a port, the suite's own server is installed and runs on it. */
function installed(port?: number): string {
    const home = { dir: mkdtempSync(join(tmpdir(), "carbon-host-")), chosen: true };
    folders.push(home.dir);
    vi.stubEnv("CARBON_GPU_HOME", home.dir);
    vi.stubEnv("CARBON_GPU_ADDRESS", "127.0.0.1");
    if (!port) {
        return "";
    }
    ensureHome(home);
    const key = renewSecret(home, "llm-key");
    const programs = hostPrograms({ llm: "host", llmUrl: "", llmHostPort: port, llmModel: "auto" });
    const machine = machineKind(process.platform, process.arch) ?? "linux-amd64";
    const config = { address: "127.0.0.1", port: 1, workspaces: {}, kernels: [], programs };
    writeConfig(home, { schema: 1, machine, ...config });
    for (const [environment, folder] of [
        ["gateway", "gateway"],
        ["llm", "envs/llm"],
    ] as const) {
        mkdirSync(join(home.dir, folder, "bin"), { recursive: true });
        writeFileSync(join(home.dir, folder, "bin", "python"), "");
        writeFileSync(join(home.dir, folder, ".carbon"), environmentDigest(machine, environment));
    }
    // What is said to run it is this very process.
    const stat = readFileSync("/proc/self/stat", "utf8");
    const started = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
    writeFileSync(
        join(home.dir, "run", "supervisor.json"),
        JSON.stringify({
            pid: process.pid,
            started,
            boot: readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim(),
        }),
    );
    return key;
}

function named(port: number, path = "/v1", llmKey = "") {
    const llmUrl = `http://host.docker.internal:${port}${path}`;
    return { ...plain, llm: "host", llmUrl, llmKey, llmAddress: llmUrl } as const;
}

function own(port: number) {
    const llmAddress = `http://host.docker.internal:${port}/v1`;
    return { ...plain, llm: "host", llmUrl: "", llmKey: "", llmAddress, llmHostPort: port } as const;
}

const nowhere = [{ name: "Nobody", port: 1, path: "/v1" }];

describe("the LLM server on this machine", () => {
    it("is looked for with llm: host alone", async () => {
        expect(await checkLlm({ ...plain, llm: "service", llmUrl: "", llmKey: "" }, desktop)).toBeUndefined();
        const elsewhere = { ...plain, llm: "url", llmUrl: "http://127.0.0.1:1/v1", llmKey: "" } as const;
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
    });
});

describe("the suite's own LLM server", () => {
    const look = (port: number) => checkLlm(own(port), desktop, nowhere);

    it("is to be installed where it is not there", async () => {
        installed();
        expect(await look(1)).toMatchObject({
            status: "ok",
            detail: expect.stringContaining("to be installed"),
        });
    });

    it("answers with its key where it is there", async () => {
        const server = createServer(({ headers }, answer) => {
            answer.statusCode = headers.authorization === `Bearer ${key}` ? 503 : 404;
            answer.end("{}");
        });
        servers.push(server);
        await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
        const { port } = server.address() as AddressInfo;
        const key = installed(port);
        expect(await look(port)).toMatchObject({ status: "ok", detail: expect.stringContaining("answers") });
    });

    it("is missed where it does not answer", async () => {
        installed(1);
        expect(await look(1)).toMatchObject({ status: "warning", advice: "Type: ./carbon gpu start." });
    });

    it("does not take a port from another program", async () => {
        installed();
        const port = await serve(200);
        expect(await look(port)).toMatchObject({
            status: "failure",
            detail: expect.stringContaining(`port ${port} (llmHostPort) `),
        });
    });

    it("is the image's file, which imports its packages and Python's own modules alone", () => {
        const source = programText("llm_server.py");
        const imported = [...source.matchAll(/^\s*(?:from|import) ([a-z_]+)/gm)].map(([, name]) => name);
        const pythons = [
            ...["__future__", "argparse", "asyncio", "collections", "contextlib", "dataclasses", "functools"],
            ...["hmac", "itertools", "json", "os", "pathlib", "re", "signal", "struct", "sys", "tempfile"],
            ...["time", "typing"],
        ];
        expect(new Set(imported)).toEqual(new Set([...pythons, "aiohttp", "xllamacpp"]));
        for (const { environments } of Object.values(pins.machines)) {
            const packages = environments.llm?.pins.map((pin) => pin.split("==")[0]);
            // The last one is for `carbon models`.
            expect(packages).toEqual(["aiohttp", "xllamacpp", "huggingface-hub"]);
        }
    });

    it("is told where its key lies, and never the key", () => {
        const [program, ...others] = hostPrograms({
            llm: "host",
            llmUrl: "",
            llmHostPort: 8011,
            llmModel: "auto",
        });
        expect(others).toEqual([]);
        expect(program?.arguments).toContain("{home}/llm-key");
        expect(
            hostPrograms({
                llm: "host",
                llmUrl: "http://127.0.0.1:1/v1",
                llmHostPort: 8011,
                llmModel: "auto",
            }),
        ).toEqual([]);
        expect(hostPrograms({ llm: "service", llmUrl: "", llmHostPort: 8011, llmModel: "auto" })).toEqual([]);
    });

    it("hands its key to the workspace, and is missed by pulumi where there is none", () => {
        const key = installed(1);
        expect(llmSecrets(own(1))).toEqual({ llm: key });
        installed();
        expect(() => llmSecrets(own(1))).toThrow(/no LLM server of the suite's is installed/);
    });
});
