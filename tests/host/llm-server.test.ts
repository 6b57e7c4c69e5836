// The LLM server as it runs on the user's machine: the image's file, with the same packages, and nothing of the image.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa, execaSync } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { itKeepsItsPromises, type TestedLlm } from "../llm-promises";
import { lockedRequirements } from "../locked";
import { freePort } from "../ports";

const root = join(__dirname, "../..");
const server = join(root, "dockerfiles/compute/rootfs/llm/usr/local/lib/carbon/llm_server.py");
const makeModel = join(root, "tests/image/tiny_gguf.py");
const folder = mkdtempSync(join(tmpdir(), "carbon-llm-test-"));
const [venv, models, log] = [join(folder, "venv"), join(folder, "models"), join(folder, "log")];
const python = join(venv, "bin/python");

/** What the server needs, and what makes the tests' models, each with what it needs itself. */
const packages = [
    ...["xllamacpp", "aiohttp", "aiohappyeyeballs", "aiosignal", "attrs", "frozenlist", "idna", "multidict"],
    ...["propcache", "typing-extensions", "yarl", "gguf", "numpy", "pyyaml", "requests", "tqdm"],
];

/** A Python that the packages are there for. */
function findPython(): string | undefined {
    for (const program of [process.env.CARBON_TEST_PYTHON, "python3.13", "python3.12", "python3"]) {
        const test = "import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 12))";
        if (program && execaSync(program, ["-c", test], { reject: false }).exitCode === 0) {
            return program;
        }
    }
    return undefined;
}

async function makeEnvironment(program: string): Promise<void> {
    const requirements = join(folder, "requirements.txt");
    writeFileSync(requirements, lockedRequirements(packages));
    await execa(program, ["-m", "venv", venv]);
    const options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes"];
    await execa(python, ["-m", "pip", "install", ...options, "--requirement", requirements]);
}

const program = findPython();

describe.skipIf(!program)("the LLM server on the user's machine", () => {
    let running: ChildProcess;
    let address = "";
    const key = "TheKeyOfTheTest";

    beforeAll(async () => {
        await makeEnvironment(program ?? "");
        mkdirSync(models);
        const keyFile = join(folder, "key");
        writeFileSync(keyFile, `${key}\n`, { mode: 0o600 });
        const port = await freePort();
        address = `http://127.0.0.1:${port}`;
        const options = ["--models", models, "--key-file", keyFile, "--port", String(port), "--threads", "1"];
        const command = `exec "$0" -I "$@" >"${log}" 2>&1`;
        running = spawn("/bin/sh", ["-c", command, python, server, ...options], { stdio: "ignore" });
        const deadline = Date.now() + 30_000;
        while (!(await fetch(`${address}/health`).catch(() => undefined))) {
            expect(Date.now(), readFileSync(log, "utf8")).toBeLessThan(deadline);
        }
    }, 300_000);

    afterAll(() => {
        running?.kill();
        rmSync(folder, { recursive: true, maxRetries: 3 });
    });

    const llm: TestedLlm = {
        get address() {
            return address;
        },
        key,
        async put(file, kind, feedForward = 128) {
            const path = join(models, file);
            await execa(python, [makeModel, path, kind === "broken" ? "chat" : kind, String(feedForward)]);
            if (kind === "broken") {
                truncateSync(path, 20_000);
            }
        },
        async remove(file) {
            rmSync(join(models, file));
        },
        log: async () => readFileSync(log, "utf8"),
    };
    itKeepsItsPromises(() => llm);

    it("leaves no process behind", async () => {
        const { pid } = running;
        const ended = new Promise((resolve) => running.once("exit", resolve));
        running.kill();
        await ended;
        const { stdout } = await execa("pgrep", ["--full", `llm_server.py --one .*${models}`], {
            reject: false,
        });
        expect(stdout, `of ${pid}`).toBe("");
    });

    it.each([
        [
            "no file with a key",
            ["--models", models, "--key-file", "/nowhere"],
            "/nowhere cannot be read: No such file",
        ],
        ["an empty one", ["--models", models, "--key-file", "/dev/null"], "/dev/null holds no key"],
        ["no folder", ["--key-file", "/dev/null"], "--models and --key-file are needed"],
    ])("refuses to start with %s", async (_, options, message) => {
        const { exitCode, stderr } = await execa(python, ["-I", server, ...options], { reject: false });
        expect(exitCode).not.toBe(0);
        expect(stderr).toContain(message);
    });
});
