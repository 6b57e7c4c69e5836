import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { gatewayProcess, hostEnvironment, hostProcesses } from "../../../cli/host/processes";
import { runnerName, supervisorArgv } from "../../../cli/host/runners";
import { agentPlist } from "../../../cli/host/runners/launchd";
import { unitFile } from "../../../cli/host/runners/systemd";
import type { HostHome } from "../../../host/home";
import { succeeds } from "../../setup/packages";

const mac: HostHome = { dir: "/Users/o'me & co/Library/Application Support/Carbon GPU", chosen: false };
const linux: HostHome = { dir: '/home/me/100% "mine" $HOME', chosen: false };

/** Keys of launchd.plist(5) that the agent uses, with the type that Apple documents. */
const documented: Record<string, "string" | "array" | "boolean" | "integer"> = {
    Label: "string",
    ProgramArguments: "array",
    WorkingDirectory: "string",
    RunAtLoad: "boolean",
    KeepAlive: "boolean",
    ProcessType: "string",
    ThrottleInterval: "integer",
    ExitTimeOut: "integer",
    Umask: "integer",
    StandardOutPath: "string",
    StandardErrorPath: "string",
};

/** The values of a property list, read by Python's own plistlib. */
function parsePlist(text: string): Record<string, unknown> {
    const program = "import json, plistlib, sys; print(json.dumps(plistlib.loads(sys.stdin.buffer.read())))";
    return JSON.parse(execFileSync("python3", ["-c", program], { input: text, encoding: "utf8" }));
}

function typeOf(value: unknown): string {
    return Array.isArray(value) ? "array" : typeof value === "number" ? "integer" : typeof value;
}

describe("the launchd agent", () => {
    const agent = parsePlist(agentPlist("carbon.gpu", mac));

    it("has keys that Apple documents alone, each of its type", () => {
        const types = Object.fromEntries(Object.entries(agent).map(([key, value]) => [key, typeOf(value)]));
        expect(types).toEqual(documented);
    });

    it("runs what is in the host's folder, blanks and all, at login and whenever it ends", () => {
        expect(agent).toMatchObject({
            Label: "carbon.gpu",
            ProgramArguments: [`${mac.dir}/gateway/bin/python`, `${mac.dir}/lib/supervise.py`, mac.dir],
            WorkingDirectory: mac.dir,
            RunAtLoad: true,
            KeepAlive: true,
        });
    });

    it("is not slowed down in the background, and writes for its user alone", () => {
        expect(["Background", "Standard", "Adaptive", "Interactive"]).toContain(agent.ProcessType);
        expect(agent.ProcessType).toBe("Interactive");
        expect(agent.Umask).toBe(0o077);
    });
});

describe("the systemd unit", () => {
    it("starts again whenever it ends, and ends with everything that it runs", () => {
        expect(unitFile({ dir: "/home/me/.local/share/carbon-gpu", chosen: false }).split("\n")).toEqual(
            expect.arrayContaining([
                'ExecStart="/home/me/.local/share/carbon-gpu/gateway/bin/python" "/home/me/.local/share/carbon-gpu/lib/supervise.py" "/home/me/.local/share/carbon-gpu"',
                "Restart=always",
                "StartLimitIntervalSec=0",
                "KillMode=mixed",
                "UMask=0077",
                "WantedBy=default.target",
            ]),
        );
    });

    it("takes the folder's name as it is: no specifier, variable or quote of it counts", () => {
        expect(unitFile(linux)).toContain(' "/home/me/100%% \\"mine\\" $$HOME"\n');
    });

    it.skipIf(!succeeds("systemd-analyze", "--version"))("is one that systemd itself accepts", () => {
        const folder = mkdtempSync(join(tmpdir(), "carbon unit "));
        onTestFinished(() => rmSync(folder, { recursive: true }));
        const home = { dir: join(folder, "100% mine"), chosen: false };
        mkdirSync(join(home.dir, "gateway", "bin"), { recursive: true });
        writeFileSync(join(home.dir, "gateway", "bin", "python"), "", { mode: 0o755 });
        const file = join(folder, "carbon-gpu.service");
        writeFileSync(file, unitFile(home));
        // Its complaints are warnings to itself, so they are read.
        const env = { ...process.env, XDG_RUNTIME_DIR: folder };
        const { stderr, status } = spawnSync("systemd-analyze", ["verify", "--user", "--man=no", file], {
            env,
            encoding: "utf8",
        });
        expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
    });
});

describe("what runs on the host", () => {
    it("has the token in no argument and no variable", () => {
        const { argv, env } = gatewayProcess(mac);
        expect(argv).toEqual([`${mac.dir}/gateway/bin/python`, `${mac.dir}/lib/carbon_gateway.py`, mac.dir]);
        expect(Object.keys(env).filter((name) => /TOKEN|KEY|SECRET|PASS|KG_|JUPYTER/.test(name))).toEqual([]);
        expect(supervisorArgv(mac)[2]).toBe(mac.dir);
    });

    it("is the gateway where there are kernels, and each server beside it with its arguments filled in", () => {
        const llm = {
            name: "llm",
            environment: "llm",
            script: "llm_server.py",
            port: 8011,
            arguments: ["--models", "{home}/models"],
        };
        const config = { address: "172.17.0.1", kernels: ["host-torch"], programs: [llm] };
        const [gateway, server] = hostProcesses(mac, config);
        expect(gateway).toEqual(gatewayProcess(mac));
        expect(server).toMatchObject({
            name: "llm",
            argv: [
                `${mac.dir}/envs/llm/bin/python`,
                ...["-I", `${mac.dir}/lib/llm_server.py`, "--address", "172.17.0.1", "--port", "8011"],
                ...["--models", `${mac.dir}/models`],
            ],
        });
        expect(hostProcesses(mac, { ...config, kernels: [] }).map(({ name }) => name)).toEqual(["llm"]);
    });

    it("gets of the command's environment what programs need, and nothing that is secret", () => {
        const env = {
            HOME: "/home/me",
            PATH: "/bin",
            PULUMI_CONFIG_PASSPHRASE: "secret",
            AWS_SECRET_ACCESS_KEY: "secret",
            HTTPS_PROXY: "http://me:secret@proxy:3128",
            HTTP_PROXY: "http://proxy:3128",
            SSL_CERT_FILE: "/etc/ca.pem",
        };
        expect(hostEnvironment(env)).toEqual({
            HOME: "/home/me",
            PATH: "/bin",
            HTTP_PROXY: "http://proxy:3128",
            SSL_CERT_FILE: "/etc/ca.pem",
        });
    });

    it("has a name of its own where its folder was chosen", () => {
        expect(runnerName(mac, ".")).toBe("carbon.gpu");
        const [one, other] = ["/a", "/b"].map((dir) => runnerName({ dir, chosen: true }, "-"));
        expect(one).toMatch(/^carbon-gpu-[0-9a-f]{8}$/);
        expect(one).not.toBe(other);
    });
});
