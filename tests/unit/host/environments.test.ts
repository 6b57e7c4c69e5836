import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
    cudaLock,
    gatewayEnvironment,
    hostLock,
    kernelNames,
    lockedPins,
    machineKind,
    machineKinds,
    pins,
    pinsDigest,
    usualKernels,
} from "../../../host/environments";
import { lockFile, type Pin, parseLock } from "../../../scripts/lock";

const REFRESH = "run `npx tsx scripts/lockHost.ts` and commit the locks";
const environments = machineKinds.flatMap((kind) =>
    [gatewayEnvironment, ...Object.keys(pins.machines[kind].environments)].map(
        (environment) => [kind, environment] as const,
    ),
);

/** All that is installed into an environment. */
function locked(kind: (typeof machineKinds)[number], environment: string): Pin[] {
    const files = [hostLock(kind, environment), cudaLock(kind, environment)].filter(existsSync);
    return files.flatMap((file) => parseLock(readFileSync(file, "utf8")));
}

describe.each(environments)("on %s the environment %s", (kind, environment) => {
    it("has a lock that was made from its pins as they are now", () => {
        expect(readFileSync(hostLock(kind, environment), "utf8"), REFRESH).toContain(
            `# pins: sha256:${pinsDigest(kind, environment)}\n`,
        );
    });

    it("has in it what it pins, each with a hash", () => {
        const found = locked(kind, environment);
        expect(found.map(({ name, version }) => `${name}==${version}`)).toEqual(
            expect.arrayContaining(lockedPins(kind, environment)),
        );
        expect(found.filter(({ hashes }) => hashes.length === 0)).toEqual([]);
        expect(new Set(found.map(({ name }) => name)).size).toBe(found.length);
    });

    it("pins exact versions alone", () => {
        for (const pin of lockedPins(kind, environment)) {
            expect(pin).toMatch(/^[a-z0-9-]+==\d[\w.]*$/);
        }
    });
});

describe("the kernels of a machine", () => {
    it.each([
        ["darwin", "arm64", "apple-silicon", ["mac-torch", "mac-tensorflow", "mac-mlx"]],
        ["darwin", "x64", "intel-mac", ["mac-torch", "mac-tensorflow"]],
        ["linux", "x64", "linux-amd64", ["host-torch"]],
        ["linux", "arm64", "linux-arm64", ["host-torch"]],
    ])("on %s %s are those of %s", (platform, arch, kind, kernels) => {
        const found = machineKind(platform, arch);
        expect(found).toBe(kind);
        expect(found && usualKernels(found)).toEqual(kernels);
    });

    it.each([
        ["win32", "x64"],
        ["linux", "riscv64"],
        ["freebsd", "x64"],
    ])("on %s %s are none", (platform, arch) => {
        expect(machineKind(platform, arch)).toBeUndefined();
    });

    it("on Apple Silicon are TensorFlow 2.18.1 with tensorflow-metal 1.2.0, on Python 3.12", () => {
        expect(pins.machines["apple-silicon"].python).toBe("3.12");
        expect(lockedPins("apple-silicon", "mac-tensorflow")).toEqual(
            expect.arrayContaining(["tensorflow==2.18.1", "tensorflow-metal==1.2.0"]),
        );
    });

    it("on an Intel Mac are the last that there are, and say that they compute on the CPU", () => {
        const { "mac-torch": torch, "mac-tensorflow": tensorflow } = pins.machines["intel-mac"].environments;
        expect(torch?.pins).toContain("torch==2.2.2");
        expect(tensorflow?.pins).toContain("tensorflow==2.16.2");
        for (const environment of [torch, tensorflow]) {
            expect(environment?.gives).toContain("on the CPU");
        }
        expect(pins.machines["intel-mac"].mark).not.toContain("GPU");
    });

    it("on Linux take CUDA's libraries from the lock that PyTorch's own index replaces, and from no other", () => {
        for (const kind of ["linux-amd64", "linux-arm64"] as const) {
            const cuda = parseLock(readFileSync(cudaLock(kind, "host-torch"), "utf8"));
            expect(cuda.map(({ name }) => name)).toEqual(expect.arrayContaining(["torch", "triton"]));
            const others = parseLock(readFileSync(hostLock(kind, "host-torch"), "utf8"));
            expect(others.filter(({ name }) => /^(nvidia-|cuda-|triton$|torch)/.test(name))).toEqual([]);
        }
    });

    it("say how much disk they take", () => {
        for (const kind of machineKinds) {
            for (const name of kernelNames(kind)) {
                expect(pins.machines[kind].environments[name]?.megabytes, name).toBeGreaterThan(100);
            }
        }
    });
});

it("uv is the one that the images are made with, by PyPI's checksums", () => {
    const image = parseLock(readFileSync(lockFile("installer"), "utf8")).find(({ name }) => name === "uv");
    expect(pins.uv.version).toBe(image?.version);
    for (const kind of machineKinds) {
        const { url, sha256 } = pins.uv[kind];
        expect(image?.hashes).toContain(`sha256:${sha256}`);
        expect(url).toMatch(
            new RegExp(`^https://files\\.pythonhosted\\.org/.*/uv-${pins.uv.version}-py3-none-[^/]+\\.whl$`),
        );
    }
});
