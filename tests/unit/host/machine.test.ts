import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { describeHost } from "../../../cli/host/control";
import { kernelspec } from "../../../cli/host/install";
import { engineFacts, gatewayAddress } from "../../../cli/host/machine";
import { detached } from "../../../cli/host/runners/detached";
import {
    ensureHome,
    type HostConfig,
    type HostHome,
    hostHome,
    readConfig,
    readSecret,
    removeHome,
    renewSecret,
    writeConfig,
} from "../../../host/home";
import { hostPrograms } from "../../../host/llm";

function temporaryHome(): HostHome {
    const folder = mkdtempSync(join(tmpdir(), "carbon-home-"));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    return { dir: join(folder, "home"), chosen: true };
}

describe("the gateway's address", () => {
    const plain = { endpoint: "unix:///var/run/docker.sock", rootless: false, bridge: "172.17.0.1" };

    it.each([
        ["on a Mac", "darwin", { ...plain, operatingSystem: "Docker Desktop" }, "127.0.0.1"],
        ["on a Mac with Colima", "darwin", { ...plain, operatingSystem: "Ubuntu 24.04" }, "127.0.0.1"],
        [
            "with Docker Desktop on Linux",
            "linux",
            { ...plain, operatingSystem: "Docker Desktop" },
            "127.0.0.1",
        ],
        ["with Docker on Linux", "linux", { ...plain, operatingSystem: "Debian GNU/Linux 13" }, "172.17.0.1"],
    ] as const)("%s is the one that containers reach and little else does", (_, platform, facts, address) => {
        expect(gatewayAddress(platform, facts)).toBe(address);
    });

    it.each([
        [
            { ...plain, endpoint: "ssh://me@server" },
            /The Docker Engine is at ssh:\/\/me@server, on another machine/,
        ],
        [
            { ...plain, endpoint: "tcp://10.0.0.2:2376" },
            /Deploy from that machine\. To do without this machine, set carbon:gpu to off and carbon:llm to service/,
        ],
        [{ ...plain, rootless: true }, /Docker runs rootless here/],
        [{ ...plain, bridge: undefined }, /Docker's network `bridge` has no address/],
    ])("is refused where containers do not reach this machine", (facts, message) => {
        expect(() => gatewayAddress("linux", facts)).toThrow(message);
    });

    it.each(["0.0.0.0", "00.0.0.0", "::", "everywhere"])("is never every address: %s", async (address) => {
        await expect(engineFacts({ CARBON_GPU_ADDRESS: address })).rejects.toThrow(
            /Allowed: one IPv4 address of this machine/,
        );
    });
});

describe("a kernel's specification", () => {
    const home = { dir: "/home/me/Carbon GPU", chosen: false };

    it("sets on Apple Silicon what PyTorch reads there, to values that are safe", () => {
        const { env, metadata, argv } = kernelspec(
            home,
            { kind: "apple-silicon", title: "Apple Silicon Mac" },
            "mac-torch",
        );
        expect(env).toMatchObject({
            PYTORCH_ENABLE_MPS_FALLBACK: "1",
            PYTORCH_MPS_HIGH_WATERMARK_RATIO: "1.7",
            PATH: expect.stringMatching(/^\/home\/me\/Carbon GPU\/envs\/mac-torch\/bin:\$\{PATH\}$/),
        });
        expect(metadata).toMatchObject({ mark: "Mac GPU", supported_encryption: "curve" });
        expect(argv[0]).toBe("/home/me/Carbon GPU/envs/mac-torch/bin/python");
    });

    it.each([
        ["intel-mac", undefined, "mac-torch", "Mac CPU"],
        ["linux-amd64", undefined, "host-torch", "host"],
        ["linux-amd64", "NVIDIA H100, 580.1", "host-torch", "host GPU"],
    ] as const)("on %s (%s) has none of that, and says what computes", (kind, nvidia, kernel, mark) => {
        const { env, metadata } = kernelspec(home, { kind, title: "", nvidia }, kernel);
        expect(Object.keys(env)).toEqual(["PATH", "VIRTUAL_ENV"]);
        expect(metadata.mark).toBe(mark);
    });
});

describe("the host's folder", () => {
    it("lies where the system keeps such things, or where it is told to", () => {
        expect(hostHome({}, "linux").dir).toBe(join(homedir(), ".local/share/carbon-gpu"));
        expect(hostHome({}, "darwin").dir).toBe(join(homedir(), "Library/Application Support/Carbon GPU"));
        expect(hostHome({ CARBON_GPU_HOME: "/somewhere" }, "darwin")).toEqual({
            dir: "/somewhere",
            chosen: true,
        });
    });

    it("is its owner's alone, also where it was wider", () => {
        const home = temporaryHome();
        mkdirSync(home.dir, { mode: 0o755 });
        ensureHome(home);
        expect(statSync(home.dir).mode & 0o777).toBe(0o700);
    });

    it("is no link to another", () => {
        const home = temporaryHome();
        symlinkSync(tmpdir(), home.dir);
        expect(() => ensureHome(home)).toThrow(/is not a folder of yours/);
    });

    it("goes with everything of the suite's, and keeps what is somebody else's", () => {
        const home = temporaryHome();
        ensureHome(home);
        renewSecret(home, "token");
        writeFileSync(join(home.dir, "thesis.tex"), "");
        // What commands that were killed have left.
        writeFileSync(join(home.dir, "token.new"), "");
        writeFileSync(join(home.dir, `verify-${"0a".repeat(12)}`), "");
        expect(removeHome(home)).toEqual(["thesis.tex"]);
        rmSync(join(home.dir, "thesis.tex"));
        ensureHome(home);
        expect(removeHome(home)).toEqual([]);
        expect(statSync(home.dir, { throwIfNoEntry: false })).toBeUndefined();
    });

    it("is no folder that has other files in it, and of such a one nothing is removed", () => {
        const home = temporaryHome();
        mkdirSync(join(home.dir, "models"), { recursive: true });
        writeFileSync(join(home.dir, "models", "my-own.gguf"), "");
        expect(() => ensureHome(home)).toThrow(/has other files in it. Name a folder that is empty/);
        expect(removeHome(home)).toEqual([]);
        expect(statSync(join(home.dir, "models", "my-own.gguf")).isFile()).toBe(true);
    });

    it("holds a token of 48 letters and digits, another one each time", () => {
        const home = temporaryHome();
        ensureHome(home);
        expect(readSecret(home, "token")).toBeUndefined();
        const tokens = [renewSecret(home, "token"), renewSecret(home, "token")];
        expect(new Set(tokens).size).toBe(2);
        expect(readSecret(home, "token")).toBe(tokens[1]);
        expect(tokens[1]).toMatch(/^[A-Za-z0-9]{48}$/);
        expect(statSync(join(home.dir, "token")).mode & 0o777).toBe(0o600);
    });

    it("is not made for root where a user has asked for it with sudo", () => {
        const home = { ...temporaryHome(), chosen: false };
        vi.stubEnv("SUDO_UID", "1000");
        vi.spyOn(process, "getuid").mockReturnValue(0);
        try {
            expect(() => ensureHome(home)).toThrow(/Type the same command without sudo/);
        } finally {
            vi.restoreAllMocks();
            vi.unstubAllEnvs();
        }
    });

    it.each(["{", "[]", '{"schema": 2}'])(
        "says so where its configuration is not the suite's: %s",
        (text) => {
            const home = temporaryHome();
            ensureHome(home);
            writeFileSync(join(home.dir, "config.json"), text);
            expect(() => readConfig(home)).toThrow(
                /is not as the suite writes it. Remove it and type: .\/carbon gpu install/,
            );
        },
    );

    it("keeps its configuration", () => {
        const home = temporaryHome();
        ensureHome(home);
        const config = {
            schema: 1 as const,
            machine: "linux-amd64" as const,
            address: "127.0.0.1",
            port: 9797,
            workspaces: { dev: "/w" },
            kernels: [],
            programs: [],
        } satisfies HostConfig;
        writeConfig(home, config);
        expect(readConfig(home)).toEqual(config);
    });
});

it("a process that has the number of a former supervisor is not ended", async () => {
    const home = temporaryHome();
    ensureHome(home);
    writeFileSync(
        join(home.dir, "run", "supervisor.json"),
        JSON.stringify({ pid: process.pid, started: "long ago", boot: "another" }),
    );
    const runner = detached(home);
    expect(await runner.isRunning()).toBe(false);
    // It would end these tests.
    await runner.stop();
});

it("the screen before an installation says what it means, with every file that is made", () => {
    const home = { dir: "/Users/me/Library/Application Support/Carbon GPU", chosen: false };
    const text = describeHost(
        {
            home,
            machine: { kind: "apple-silicon", title: "Apple Silicon Mac" },
            runner: {
                kind: "launchd",
                title: "launchd agent carbon.gpu",
                files: ["/Users/me/Library/LaunchAgents/carbon.gpu.plist"],
                start: async () => {},
                stop: async () => {},
                isRunning: async () => false,
            },
            config: {
                schema: 1,
                machine: "apple-silicon",
                address: "127.0.0.1",
                port: 9797,
                workspaces: {},
                kernels: ["mac-torch", "mac-mlx"],
                programs: hostPrograms({ llm: "host", llmUrl: "", llmHostPort: 8011, llmModel: "auto" }),
            },
        },
        ["gateway", "mac-torch", "mac-mlx", "llm"],
    );
    expect(text).toMatch(
        /runs as you \(.+\) on this machine. It sees your files, your keys and your network/,
    );
    expect(text).toContain("gateway listens on 127.0.0.1:9797 alone");
    expect(text).toContain("It listens on 127.0.0.1:8011 alone, and answers nobody without its key");
    expect(text).toContain(`Installed into ${home.dir}, up to 1310 MB`);
    expect(text).toContain("mac-torch: PyTorch 2.15.0 on Metal (MPS)");
    expect(text).toContain("launchd agent carbon.gpu (/Users/me/Library/LaunchAgents/carbon.gpu.plist)");
    expect(text).toContain("`./carbon gpu uninstall` removes all of it");
});
