import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { acceleratorChecks, gpuCores } from "../../../cli/checks/accelerators";
import { type OutsideCheck, passed, runChecks } from "../../../cli/checks/check";
import { hostKernelCheck } from "../../../cli/checks/endToEnd";
import { junitXml } from "../../../cli/checks/junit";
import { llmServerCheck } from "../../../cli/checks/llmServers";
import { type MachineKind, machineOf } from "../../../cli/checks/machine";
import { verificationOf } from "../../../cli/documents";
import { freePort } from "../../ports";

const lying = join(__dirname, "lying");
const python = execFileSync("python3", ["-c", "import sys; print(sys.executable)"], {
    encoding: "utf8",
}).trim();

let home: string;
let path: string | undefined;
const servers: Server[] = [];
beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), "carbon-gpu-home-"));
    path = process.env.PATH;
    process.env.PATH = `${join(home, "bin")}:/usr/bin:/bin`;
});
afterEach(() => {
    process.env.PATH = path;
    for (const server of servers.splice(0)) {
        server.close();
    }
    rmSync(home, { recursive: true });
});

/** A program on PATH, or somewhere in the home. */
function program(name: string, body: string): void {
    const file = join(home, name.includes("/") ? name : `bin/${name}`);
    mkdirSync(join(file, ".."), { recursive: true });
    writeFileSync(file, `#!/bin/sh\n${body}\n`);
    chmodSync(file, 0o755);
}

/** An environment whose torch lies. Its interpreter is real, and so is the probe that it runs. */
function torchThat(lie: string, { kernel = "mac-torch", gpu = "mps" } = {}): void {
    const run = `import runpy, sys; sys.path.insert(0, ${JSON.stringify(lying)}); sys.dont_write_bytecode = True; runpy.run_path(sys.argv[1], run_name='__main__')`;
    program(
        `envs/${kernel}/bin/python`,
        `export TORCH_LIES='${lie}' TORCH_GPU=${gpu}\n[ "$1 $2" = "-I -B" ] || exit 9\nexec ${python} -c "${run.replaceAll('"', '\\"')}" "$3"`,
    );
}

async function check(id: string, kind: MachineKind, limit?: number) {
    const found = acceleratorChecks(machineOf(kind), { dir: home, chosen: true }).find(
        (one) => one.id === id,
    ) as OutsideCheck;
    const [result] = await runChecks([{ ...found, ...(limit && { limit }) }]);
    return result;
}

describe("a torch on Apple Silicon", () => {
    it("passes where the product on mps is the CPU's", async () => {
        torchThat("nothing");
        expect(await check("host-torch", "apple-silicon")).toMatchObject({ status: "PASS" });
        expect(await check("host-mps", "apple-silicon")).toMatchObject({
            status: "PASS",
            observed: "torch 9.9, is_built() true, is_available() true, product equal to the CPU's",
        });
    });

    it("that claims MPS and computes wrong is a FAIL", async () => {
        torchThat("wrong product");
        expect(await check("host-mps", "apple-silicon")).toMatchObject({
            status: "FAIL",
            observed: expect.stringContaining("but the product on mps differs from the CPU's"),
            hint: expect.stringContaining("cannot be trusted"),
        });
    });

    it("that has MPS only through the CPU's help is a FAIL, also where that is switched on", async () => {
        torchThat("needs the CPU");
        process.env.PYTORCH_ENABLE_MPS_FALLBACK = "1";
        const result = await check("host-mps", "apple-silicon");
        delete process.env.PYTORCH_ENABLE_MPS_FALLBACK;
        expect(result).toMatchObject({
            status: "FAIL",
            observed: expect.stringContaining(
                "without the CPU's help it cannot multiply: The operator 'aten::mm'",
            ),
            hint: expect.stringContaining("PYTORCH_ENABLE_MPS_FALLBACK=1 hides that"),
        });
    });

    it("whose product never left the CPU is a FAIL", async () => {
        torchThat("stays on the CPU");
        expect(await check("host-mps", "apple-silicon")).toMatchObject({
            status: "FAIL",
            observed: expect.stringContaining("the product is on cpu, not on mps"),
        });
    });

    it("without MPS is a FAIL there, and cannot be otherwise on an Intel Mac and in Linux", async () => {
        torchThat("no GPU");
        expect(await check("host-mps", "apple-silicon")).toMatchObject({
            status: "FAIL",
            hint: expect.stringContaining("macOS 14"),
        });
        expect(await check("host-mps", "intel-mac")).toMatchObject({ status: "UNSUPPORTED" });
        torchThat("no GPU", { kernel: "host-torch" });
        expect(await check("host-mps", "linux-amd64")).toMatchObject({ status: "UNSUPPORTED" });
    });

    it("that claims MPS where there is none is a FAIL", async () => {
        torchThat("nothing", { kernel: "host-torch" });
        expect(await check("host-mps", "linux-arm64")).toMatchObject({
            status: "FAIL",
            observed: expect.stringContaining("it claims what Linux, arm64 cannot have"),
        });
    });

    it("whose import hangs is a FAIL after its limit, and does not go on running", async () => {
        torchThat("hangs");
        const started = Date.now();
        expect(await check("host-mps", "apple-silicon", 1)).toMatchObject({
            status: "FAIL",
            observed: "timed out after 1 s",
            hint: expect.stringContaining("./carbon gpu install"),
        });
        expect(Date.now() - started).toBeLessThan(10_000);
    });

    it("is skipped where its environment is not installed, with what to type", async () => {
        expect(await check("host-torch", "apple-silicon")).toMatchObject({
            status: "SKIP",
            observed: "the environment mac-torch is not installed",
            hint: "./carbon gpu install",
        });
    });

    it("that prints no report, or one of another shape, is a FAIL", async () => {
        program("envs/mac-torch/bin/python", "echo nonsense");
        expect(await check("host-torch", "apple-silicon")).toMatchObject({
            status: "FAIL",
            observed: "the probe printed no report",
        });
        program("envs/mac-torch/bin/python", "echo '{\"version\": 3}'");
        expect(await check("host-torch", "apple-silicon")).toMatchObject({
            status: "FAIL",
            observed: expect.stringContaining("has another shape than it should"),
        });
        program("envs/mac-torch/bin/python", "echo 'ImportError: no' >&2; exit 1");
        expect(await check("host-torch", "apple-silicon")).toMatchObject({
            observed: "mac-torch does not work: ImportError: no",
        });
    });
});

describe("NVIDIA on the host", () => {
    it("passes where nvidia-smi and torch agree", async () => {
        program("nvidia-smi", "echo 'NVIDIA H100 80GB HBM3, 570.86.15, 81559 MiB'");
        torchThat("nothing", { kernel: "host-torch", gpu: "cuda" });
        expect(await check("host-nvidia-smi", "nvidia")).toMatchObject({
            status: "PASS",
            observed: "NVIDIA H100 80GB HBM3, 570.86.15, 81559 MiB",
        });
        expect(await check("host-cuda", "nvidia")).toMatchObject({
            status: "PASS",
            observed: expect.stringContaining("A made-up GPU, product equal to the CPU's"),
        });
    });

    it.each([
        ["wrong product", "the product on cuda differs"],
        ["stays on the CPU", "the product is on cpu, not on cuda"],
        ["no GPU", "is_available() false"],
    ])("is a FAIL with a torch: %s", async (lie, observed) => {
        torchThat(lie, { kernel: "host-torch", gpu: "cuda" });
        expect(await check("host-cuda", "nvidia")).toMatchObject({
            status: "FAIL",
            observed: expect.stringContaining(observed),
        });
    });

    it("is nothing to fail for elsewhere", async () => {
        torchThat("no GPU", { kernel: "host-torch" });
        expect(await check("host-cuda", "linux-amd64")).toMatchObject({ status: "UNSUPPORTED" });
        expect(await check("host-nvidia-smi", "linux-amd64")).toMatchObject({ status: "UNSUPPORTED" });
    });
});

describe("a Mac itself", () => {
    const displays = JSON.stringify({ SPDisplaysDataType: [{ sppci_model: "Apple M2", sppci_cores: "10" }] });

    it("is told by its chip, its GPU's cores and its macOS, which has to be new enough", async () => {
        program("sysctl", "echo Apple M2");
        program("system_profiler", `echo '${displays}'`);
        program("sw_vers", "echo 15.5");
        expect(await check("host-machine", "apple-silicon")).toMatchObject({
            status: "PASS",
            observed: "Apple Silicon Mac: Apple M2, 10 GPU cores, macOS 15.5",
        });
        program("sw_vers", "echo 13.6");
        expect(await check("host-machine", "apple-silicon")).toMatchObject({ status: "FAIL" });
    });

    it.each([["{}"], ["no JSON"], ["null"], ['{"SPDisplaysDataType": [null]}']])(
        "has no cores in %s",
        (json) => {
            expect(gpuCores(json)).toBeUndefined();
        },
    );

    it("shows MoltenVK where it is installed, and misses nothing where it is not", async () => {
        expect(await check("host-moltenvk", "apple-silicon")).toMatchObject({
            status: "SKIP",
            hint: "brew install molten-vk vulkan-tools",
        });
        const device = (driver: string) =>
            `cat <<'END'\nGPU0:\n\tapiVersion         = 1.4.313\n\tdeviceName         = Apple M2\n\tdriverName         = ${driver}\n\tdriverInfo         = 1.3.0\nEND`;
        program("vulkaninfo", device("MoltenVK"));
        expect(await check("host-moltenvk", "apple-silicon")).toMatchObject({
            status: "PASS",
            observed: "MoltenVK 1.3.0 on Apple M2, Vulkan 1.4.313",
        });
        program("vulkaninfo", device("llvmpipe"));
        expect(await check("host-moltenvk", "apple-silicon")).toMatchObject({ status: "FAIL" });
        expect(await check("host-moltenvk", "linux-amd64")).toMatchObject({ status: "UNSUPPORTED" });
    });

    it("wants MLX and TensorFlow on the GPU of Apple Silicon alone", async () => {
        for (const id of ["host-mlx", "host-tensorflow-metal"]) {
            expect(await check(id, "intel-mac")).toMatchObject({ status: "UNSUPPORTED" });
            expect(await check(id, "apple-silicon")).toMatchObject({ status: "SKIP" });
        }
        const report = (kernel: string, said: unknown) =>
            program(`envs/${kernel}/bin/python`, `echo '${JSON.stringify(said)}'`);
        report("mac-mlx", { version: "0.30", device: "Device(gpu, 0)", equal: true });
        expect(await check("host-mlx", "apple-silicon")).toMatchObject({ status: "PASS" });
        report("mac-mlx", { version: "0.30", device: "Device(cpu, 0)", equal: true });
        expect(await check("host-mlx", "apple-silicon")).toMatchObject({ status: "FAIL" });
        const tensorflow = { version: "2.18.1", equal: true, gpus: ["GPU:0"], metal: "1.2.0" };
        report("mac-tensorflow", tensorflow);
        expect(await check("host-tensorflow-metal", "apple-silicon")).toMatchObject({ status: "PASS" });
        for (const change of [{ gpus: [] }, { metal: null }, { equal: false }]) {
            report("mac-tensorflow", { ...tensorflow, ...change });
            expect(await check("host-tensorflow-metal", "apple-silicon")).toMatchObject({ status: "FAIL" });
        }
    });
});

describe("LLM servers on the host", () => {
    const listen = async (server: Server) => {
        servers.push(server);
        await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
        return (server.address() as AddressInfo).port;
    };
    const look = async (ports: Record<string, number>, wantsOwn = false) => {
        const list = Object.entries(ports).map(([name, port]) => ({ name, port, path: "/v1" }));
        const [result] = await runChecks([llmServerCheck({ servers: list, wantsOwn })]);
        return result;
    };

    it("are listed with their models; one that asks for a key answers, too", async () => {
        const one = await listen(createHttpServer((_, answer) => answer.end('{"data": [{}, {}]}')));
        const other = await listen(createHttpServer((_, answer) => answer.writeHead(401).end()));
        expect(await look({ Ollama: one, "the suite's own": other })).toMatchObject({
            status: "PASS",
            observed: `Ollama on ${one}: 2 models; the suite's own on ${other}: wants a key`,
        });
    });

    it("that listen and do not answer are a FAIL", async () => {
        const port = await listen(createServer());
        expect(await look({ Ollama: port })).toMatchObject({
            status: "FAIL",
            observed: `Ollama's port ${port}: something listens, and does not answer within 5 s`,
            hint: expect.stringContaining("Restart the server"),
        });
    });

    it("are nobody's duty", async () => {
        expect(await look({ Ollama: await freePort() })).toMatchObject({ status: "SKIP" });
    });

    it.each([
        [502, "no program listens here"],
        [200, "<html></html>"],
        [404, ""],
    ])("are not what answers %i on their port and is another program", async (status, text) => {
        const port = await listen(createHttpServer((_, answer) => answer.writeHead(status).end(text)));
        expect(await look({ vLLM: port })).toMatchObject({ status: "SKIP" });
    });

    it("are a FAIL where the settings want the suite's own, which does not run", async () => {
        const other = await listen(createHttpServer((_, answer) => answer.end('{"data": [{}]}')));
        const ports = { Ollama: other, "the suite's own": await freePort() };
        expect(await look(ports, true)).toMatchObject({ status: "FAIL", hint: "./carbon gpu start" });
        const empty = await listen(createHttpServer((_, answer) => answer.writeHead(503).end()));
        expect(await look({ "the suite's own": empty }, true)).toMatchObject({
            status: "PASS",
            observed: `the suite's own on ${empty}: has no model`,
        });
    });
});

describe("a cell on the host's kernel", () => {
    const look = async (isAsked = true) => {
        const [result] = await runChecks([hostKernelCheck("dev", isAsked, { dir: home, chosen: true })]);
        return result;
    };
    const exec =
        'test "$1 $2 $3 $4 $5 $6 $7" = "exec --user carbon carbon-dev-workspace carbon-gpu python -c" || exit 9; shift 7\n';

    it("passes where it reads what only this machine has", async () => {
        program("docker", `${exec}exec ${python} -c "$1" "$2"`);
        expect(await look()).toMatchObject({
            status: "PASS",
            observed: expect.stringContaining("reads a file that only this machine's user has"),
        });
        expect(readdirSync(home)).toEqual(["bin"]);
    });

    it("that runs in the container but calls itself the host's is a FAIL", async () => {
        // What the container's own Python prints: this machine's name of itself, and no such file.
        program("docker", `${exec}exec ${python} -c "$1" "/elsewhere$2"`);
        expect(await look()).toMatchObject({
            status: "FAIL",
            observed: expect.stringContaining(
                "it does not run on this machine: it cannot read a file of yours",
            ),
            hint: expect.stringContaining("./carbon gpu status"),
        });
    });

    it("that says another platform is a FAIL, whatever it reads", async () => {
        program(
            "docker",
            `${exec}printf '{"system": "Plan9", "machine": "mips", "proof": "%s"}\\n' "$(cat "$2")"`,
        );
        expect(await look()).toMatchObject({
            status: "FAIL",
            observed: expect.stringContaining("Plan9, mips"),
        });
    });

    it("that does not run, or prints something else, is a FAIL", async () => {
        program("docker", "echo 'carbon-gpu: the gateway does not answer' >&2; exit 1");
        expect(await look()).toMatchObject({
            status: "FAIL",
            observed: "carbon-gpu in the workspace ended with 1: carbon-gpu: the gateway does not answer",
        });
        program("docker", "echo hello");
        expect(await look()).toMatchObject({ status: "FAIL" });
        expect(readdirSync(home)).toEqual(["bin"]);
    });

    it("is skipped where the stack has none, and leaves no file", async () => {
        expect(await look(false)).toMatchObject({ status: "SKIP" });
        expect(existsSync(join(home, "bin"))).toBe(false);
    });
});

describe("checks from outside", () => {
    it("run side by side, and one that throws is a FAIL with its hint", async () => {
        let other: (() => void) | undefined;
        const waited = new Promise<void>((resolve) => {
            other = resolve;
        });
        const rows = await runChecks([
            { id: "a", expected: "x", hint: "h", look: () => waited.then(() => passed("waited")) },
            {
                id: "b",
                expected: "x",
                hint: "h",
                look: async () => {
                    other?.();
                    return passed("at once", "but");
                },
            },
            { id: "c", expected: "x", hint: "h", look: async () => Promise.reject(new Error("broken")) },
        ]);
        expect(rows.map(({ id, status, observed, hint }) => [id, status, observed, hint])).toEqual([
            ["a", "PASS", "waited", ""],
            ["b", "PASS", "at once", "but"],
            ["c", "FAIL", "broken", "h"],
        ]);
    });
});

it("JUnit's XML has a suite for each target, and holds what strangers wrote as text", () => {
    const row = { expected: "x & y", observed: "<seen>\u0000\u001b[2J", seconds: 1.234, hint: 'type "this"' };
    const xml = junitXml([
        verificationOf("workspace", [
            { id: "ssh", status: "PASS", ...row },
            { id: "mps", status: "UNSUPPORTED", ...row },
        ]),
        verificationOf("host", [{ id: "host-mps", status: "FAIL", ...row }]),
    ]);
    expect(xml).toMatchInlineSnapshot(`
      "<?xml version="1.0" encoding="UTF-8"?>
      <testsuites name="carbon verify" tests="3" failures="1">
        <testsuite name="workspace" tests="2" failures="0" skipped="1" time="2.47">
          <testcase classname="carbon.workspace" name="ssh" time="1.23">
            <system-out>&lt;seen&gt;\\x00\\x1b[2J
      hint: type &quot;this&quot;</system-out>
          </testcase>
          <testcase classname="carbon.workspace" name="mps" time="1.23">
            <skipped message="UNSUPPORTED: &lt;seen&gt;\\x00\\x1b[2J"/>
          </testcase>
        </testsuite>
        <testsuite name="host" tests="1" failures="1" skipped="0" time="1.23">
          <testcase classname="carbon.host" name="host-mps" time="1.23">
            <failure message="&lt;seen&gt;\\x00\\x1b[2J">expected: x &amp; y
      observed: &lt;seen&gt;\\x00\\x1b[2J
      hint: type &quot;this&quot;</failure>
          </testcase>
        </testsuite>
      </testsuites>
      "
    `);
    // By a parser that is strict.
    const names =
        "import sys, xml.etree.ElementTree as tree; print([c.get('name') for c in tree.parse(sys.stdin).iter('testcase')])";
    expect(execFileSync(python, ["-c", names], { input: xml, encoding: "utf8" }).trim()).toBe(
        "['ssh', 'mps', 'host-mps']",
    );
});
