import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { execa, execaSync } from "execa";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CUDA_LOCK, lockFile, parseLock } from "../../../scripts/lock";

const INSTALL_TORCH = resolve(__dirname, "../../../dockerfiles/compute/build/torch/install-torch");

const lock = lockFile(CUDA_LOCK);
const pins = parseLock(readFileSync(lock, "utf8")).filter(({ name }) => /^torch(vision)?$/.test(name));
const requirements = pins.map(({ name, version }) => `${name}==${version}`);

let folder: string;
let index: Server;
let address: string;
let asked: string[];

beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "carbon-torch-"));
    mkdirSync(join(folder, "bin"));
    fakeProgram("with-ca", 'exec "$@"');
    // With what the step goes on with: torch's own list of what it requires, and a CUDA library.
    fakeProgram(
        "install-locked",
        `printf "%s\\n" "$@"
        packages=$1/lib/python3.13/site-packages
        mkdir -p "$packages/torch-2.0.dist-info" "$packages/nvidia/cudnn/lib"
        printf 'Requires-Dist: triton==3; x\\nRequires-Dist: sympy\\n' > "$packages/torch-2.0.dist-info/METADATA"
        touch "$packages/nvidia/cudnn/lib/libcudnn_ops.so.9" "$packages/nvidia/cudnn/lib/libcudnn_graph.so.9"`,
    );
    await serve(pins.map(({ version }) => `${version}+cpu`));
});

afterEach(() => {
    index.close();
    rmSync(folder, { recursive: true });
});

function fakeProgram(name: string, body: string): void {
    writeFileSync(join(folder, "bin", name), `#!/bin/sh\n${body}\n`, { mode: 0o755 });
}

/** A package index with one wheel of each of torch and torchvision for amd64, in these versions. */
async function serve(versions: string[]): Promise<void> {
    index?.close();
    asked = [];
    const python = execaSync("python3", ["-c", "import sys; print('cp%d%d' % sys.version_info[:2])"]).stdout;
    index = createServer((request, response) => {
        asked.push(request.url ?? "");
        const name = request.url?.split("/").at(-2) ?? "";
        const version = versions[pins.findIndex((pin) => pin.name === name)] ?? "";
        const wheel = `${name}-${encodeURIComponent(version)}-${python}-${python}-manylinux_2_28_x86_64.whl`;
        response.end(`<!DOCTYPE html><a href="/whl/cpu/${wheel}#sha256=0">${wheel}</a>`);
    });
    await new Promise<void>((listening) => index.listen(0, "127.0.0.1", listening));
    address = `http://127.0.0.1:${(index.address() as AddressInfo).port}/whl/cpu`;
}

/** Runs the step of the build with stand-ins for what installs; returns what it said and the files that it wrote. */
async function installTorch(torchIndex: string, arch = "amd64") {
    const env = {
        PATH: `${join(folder, "bin")}:${process.env.PATH}`,
        TORCH_INDEX: torchIndex,
        TORCH_CPU_INDEX: address,
        TARGETARCH: arch,
    };
    const result = await execa("bash", [INSTALL_TORCH, join(folder, "out"), lock], {
        env,
        all: true,
        reject: false,
    });
    const read = (name: string) => readFileSync(join(folder, "out/etc/carbon", name), "utf8").trim();
    const written = () => read("torch-index");
    const download = () => read("torch-download");
    return { code: result.exitCode, said: result.all, written, download };
}

describe("TORCH_INDEX=auto", () => {
    it("takes the CPU build, by version, where PyTorch's CPU index has it", async () => {
        const { code, said, written } = await installTorch("auto");
        expect(said).toContain(["--default-index", address, ...requirements].join("\n"));
        expect(said).not.toContain("--require-hashes");
        expect(written()).toBe("cpu");
        expect(code).toBe(0);
    });

    it("takes PyPI's, by hash, where the index cannot be reached, and says so", async () => {
        index.close();
        const { code, said, written } = await installTorch("auto");
        expect(said).toContain("cannot be reached");
        expect(said).toContain("==> torch: PyPI's CUDA build");
        expect(said).toContain(["--require-hashes", "--requirements", lock].join("\n"));
        expect(written()).toBe("pypi-cuda");
        expect(code).toBe(0);
        const packages = join(folder, "out/opt/carbon/venv/lib/python3.13/site-packages");
        expect(readFileSync(join(packages, "torch-2.0.dist-info/METADATA"), "utf8")).toBe(
            "Requires-Dist: sympy\n",
        );
        expect(readdirSync(join(packages, "nvidia/cudnn/lib"))).toEqual(["libcudnn_graph.so.9"]);
    });

    it("takes PyPI's where the index has other versions only", async () => {
        await serve(["1.0.0+cpu", "1.0.0+cpu"]);
        const { said, written } = await installTorch("auto");
        expect(said).toContain(`has no wheel of ${requirements[0]} for amd64`);
        expect(written()).toBe("pypi-cuda");
    });

    it("takes PyPI's where the index has wheels for another platform only", async () => {
        const { said, written } = await installTorch("auto", "arm64");
        expect(said).toContain(`has no wheel of ${requirements[0]} for arm64`);
        expect(written()).toBe("pypi-cuda");
    });
});

it.each([
    ["cpu", "unverified"],
    ["pypi", "sha256"],
    ["cuda", "sha256"],
])("TORCH_INDEX=%s leaves in the image that its download is %s", async (torchIndex, word) => {
    expect((await installTorch(torchIndex)).download()).toBe(word);
});

it("TORCH_INDEX=cuda keeps the libraries that a GPU needs, and leaves Triton out", async () => {
    const { code, said, written } = await installTorch("cuda");
    expect(said).toContain(["--require-hashes", "--requirements", lock].join("\n"));
    expect(asked).toEqual([]);
    expect(written()).toBe("cuda");
    expect(code).toBe(0);
    const packages = join(folder, "out/opt/carbon/venv/lib/python3.13/site-packages");
    expect(readFileSync(join(packages, "torch-2.0.dist-info/METADATA"), "utf8")).toBe(
        "Requires-Dist: sympy\n",
    );
    expect(readdirSync(join(packages, "nvidia/cudnn/lib")).sort()).toEqual([
        "libcudnn_graph.so.9",
        "libcudnn_ops.so.9",
    ]);
});

it("says while it builds that no hash is checked", async () => {
    expect((await installTorch("cpu")).said).toContain("by version and without a recorded hash");
});

it("TORCH_INDEX=cpu insists on the CPU index", async () => {
    fakeProgram("install-locked", "exit 7");
    const { code, written } = await installTorch("cpu");
    expect(code).toBe(7);
    expect(written).toThrow("ENOENT");
});

it("TORCH_INDEX=pypi does not ask the CPU index", async () => {
    const { written } = await installTorch("pypi");
    expect(written()).toBe("pypi-cuda");
    expect(asked).toEqual([]);
});

it("refuses any other TORCH_INDEX by name", async () => {
    const { code, said } = await installTorch("rocm");
    expect(said).toContain("TORCH_INDEX is 'rocm': it must be auto, cpu, pypi or cuda.");
    expect(code).toBe(1);
});
