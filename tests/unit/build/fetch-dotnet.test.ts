import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startVendorServer, type VendorServer } from "./vendor-server";

const script = join(__dirname, "../../../dockerfiles/base/build/fetch-dotnet");
let folder: string;
let server: VendorServer;
let address: string;
let archive: Buffer;

beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "carbon-dotnet-"));
    writeFileSync(join(folder, "dotnet"), "program");
    archive = execFileSync("tar", ["-cz", "-C", folder, "dotnet"]);
    server = await startVendorServer(() => archive);
    address = server.address;
});

afterAll(() => {
    server.close();
    rmSync(folder, { recursive: true });
});

/** Runs the script for a file at `url`; `out` is the folder that goes into the image. */
async function fetchDotnet(url: string, sha512 = createHash("sha512").update(archive).digest("hex")) {
    const versions = join(folder, "versions.json");
    writeFileSync(versions, JSON.stringify({ dotnet: { version: "10.0.1", amd64: { url, sha512 } } }));
    const out = mkdtempSync(join(folder, "out-"));
    const { exitCode, stdout, stderr } = await execa("python3", [script, versions, "amd64", out], {
        reject: false,
        env: {
            PYTHONDONTWRITEBYTECODE: "1",
            PYTHONPATH: join(__dirname, "../../../dockerfiles/build"),
        },
    });
    return { exitCode, stdout, stderr, out };
}

const note = "etc/carbon/unavailable/dotnet";

describe("the .NET SDK", () => {
    it("is unpacked where the image expects it", async () => {
        const { exitCode, out } = await fetchDotnet(`${address}/sdk`);
        expect(exitCode).toBe(0);
        expect(readFileSync(join(out, "usr/share/dotnet/dotnet"), "utf8")).toBe("program");
        expect(existsSync(join(out, note))).toBe(false);
    });

    it("ends the build with another hash", async () => {
        const { exitCode, stderr, out } = await fetchDotnet(`${address}/sdk`, "0".repeat(128));
        expect(exitCode).toBe(1);
        expect(stderr).toMatch(/its sha512 is [0-9a-f]{128}, not 0{128}/);
        expect(existsSync(join(out, "usr"))).toBe(false);
    });

    it("ends the build where the file has gone", async () => {
        expect(await fetchDotnet(`${address}/gone`)).toMatchObject({
            exitCode: 1,
            stderr: expect.stringContaining("404"),
        });
    });

    it.each(["http://carbon.invalid/sdk", "/refused"])(
        "is left out, with a note, where %s is all there is",
        async (url) => {
            const { exitCode, stdout, out } = await fetchDotnet(new URL(url, address).href);
            expect(exitCode).toBe(0);
            expect(stdout).toMatch(/^\.NET SDK 10\.0\.1 is left out: .+ cannot be reached \(.+\)\.$/);
            expect(readFileSync(join(out, note), "utf8").trim()).toBe(stdout);
        },
    );
});
