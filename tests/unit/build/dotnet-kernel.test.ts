import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa, execaSync } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startVendorServer, type VendorServer } from "./vendor-server";

const dockerfiles = join(__dirname, "../../../dockerfiles");
const script = join(dockerfiles, "compute/build/kernels/install_dotnet_kernel.py");
/** Where the Dockerfile has the module that both images share. */
const env = { PYTHONPATH: join(dockerfiles, "build"), PYTHONDONTWRITEBYTECODE: "1" };
let folder: string;
let server: VendorServer;
let address: string;
let files: Record<string, Buffer>;

/** Packages in the layout of a .NET tool: with a program, with none. */
const makePackages = `
import sys, zipfile
settings = """<?xml version="1.0" encoding="utf-8"?>
<DotNetCliTool Version="1"><Commands><Command Name="dotnet-tool" EntryPoint="Some.App.dll" Runner="dotnet" /></Commands></DotNetCliTool>"""
with zipfile.ZipFile(sys.argv[1] + "/tool", "w") as package:
    package.writestr("some.nuspec", "<package/>")
    package.writestr("tools/net8.0/any/DotnetToolSettings.xml", settings)
    for name in ("Some.App.dll", "logo-64x64.png", "ja/Some.resources.dll", "runtimes/win-x64/native/a.dll",
                 "runtimes/linux-arm64/native/a.so"):
        package.writestr("tools/net8.0/any/" + name, name)
with zipfile.ZipFile(sys.argv[1] + "/library", "w") as package:
    package.writestr("lib/net8.0/Some.dll", "library")
`;

beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "carbon-dotnet-kernel-"));
    execaSync("python3", ["-c", makePackages, folder]);
    files = {
        "/tool": readFileSync(join(folder, "tool")),
        "/library": readFileSync(join(folder, "library")),
    };
    server = await startVendorServer((path) => files[path] ?? "");
    address = server.address;
});

afterAll(() => {
    server.close();
    rmSync(folder, { recursive: true });
});

/** Runs the script for a file at `url`; `out` is the folder that goes into the image. */
async function install(url: string, sha256?: string) {
    const file = files[new URL(url).pathname] ?? "";
    const pin = { version: "1.0.1", url, sha256: sha256 ?? createHash("sha256").update(file).digest("hex") };
    const versions = join(folder, "versions.json");
    writeFileSync(versions, JSON.stringify({ "dotnet-interactive": pin }));
    const out = mkdtempSync(join(folder, "out-"));
    const { exitCode, stdout, stderr } = await execa("python3", [script, versions, out], {
        reject: false,
        env,
    });
    return { exitCode, stdout, stderr, out };
}

const kernels = "opt/carbon/kernels/dotnet";
const note = "etc/carbon/unavailable/dotnetKernel";

describe("the kernels for .NET", () => {
    it("are one for each language, with the program's path and logo", async () => {
        const { exitCode, out } = await install(`${address}/tool`);
        expect(exitCode).toBe(0);
        expect(readdirSync(join(out, kernels)).sort()).toEqual([
            ".net-csharp",
            ".net-fsharp",
            ".net-powershell",
            "tool",
        ]);
        expect(JSON.parse(readFileSync(join(out, kernels, ".net-fsharp/kernel.json"), "utf8"))).toMatchObject(
            {
                argv: [
                    "dotnet",
                    `/${kernels}/tool/Some.App.dll`,
                    "jupyter",
                    "--default-kernel",
                    "fsharp",
                    "{connection_file}",
                ],
                display_name: ".NET (F#)",
            },
        );
        expect(existsSync(join(out, kernels, ".net-fsharp/logo-64x64.png"))).toBe(true);
        expect(existsSync(join(out, note))).toBe(false);
    });

    it("hold what the image's system can use, and no more", async () => {
        const { out } = await install(`${address}/tool`);
        expect(existsSync(join(out, kernels, "tool/Some.App.dll"))).toBe(true);
        expect(readdirSync(join(out, kernels, "tool/runtimes"))).toEqual(["linux-arm64"]);
        expect(existsSync(join(out, kernels, "tool/ja"))).toBe(false);
    });

    it("end the build with another hash", async () => {
        const { exitCode, stderr, out } = await install(`${address}/tool`, "0".repeat(64));
        expect(exitCode).toBe(1);
        expect(stderr).toMatch(/its sha256 is [0-9a-f]{64}, not 0{64}/);
        expect(existsSync(join(out, "opt"))).toBe(false);
    });

    it("end the build where the package is no tool, or has gone", async () => {
        expect(await install(`${address}/library`)).toMatchObject({
            exitCode: 1,
            stderr: expect.stringContaining("Not one .NET tool"),
        });
        expect(await install(`${address}/gone`)).toMatchObject({
            exitCode: 1,
            stderr: expect.stringContaining("404"),
        });
    });

    it.each(["http://carbon.invalid/tool", "/refused"])(
        "are left out, with a note, where %s is all there is",
        async (url) => {
            const { exitCode, stdout, out } = await install(new URL(url, address).href);
            expect(exitCode).toBe(0);
            expect(stdout).toMatch(/^\.NET Interactive 1\.0\.1 is left out: .+ cannot be reached \(.+\)\.$/);
            expect(readFileSync(join(out, note), "utf8").trim()).toBe(stdout);
            expect(existsSync(join(out, "opt"))).toBe(false);
        },
    );
});
