import {
    existsSync,
    lstatSync,
    mkdtempSync,
    readFileSync,
    readlinkSync,
    rmSync,
    writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { extensions } from "../../../scripts/extensions";
import { makeVsix, type Vsix } from "../../vsix";

const script = join(__dirname, "../../../dockerfiles/compute/build/extensions/install_extensions.py");
const unpacked = "opt/carbon/code-server-extensions";
const builtIn = "opt/carbon/code-server/node_modules/code-server/lib/vscode/extensions";
const note = "etc/carbon/unavailable/codeServerExtensions";

describe("the list of extensions", () => {
    const ids = extensions.map(({ id }) => id.toLowerCase());

    it("has at least 100, none twice, in order", () => {
        expect(ids.length).toBeGreaterThanOrEqual(100);
        expect(ids).toEqual([...new Set(ids)].sort());
    });

    it("names each by publisher, name and exact version", () => {
        const wrong = extensions.filter(
            ({ id, version }) => !/^[\w-]+\.[\w-]+$/.test(id) || !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version),
        );
        expect(wrong).toEqual([]);
    });

    it("says of each what it drives: commands that the image has, and why not where it has not", () => {
        const wrong = extensions.filter(
            ({ programs, lacks = "why" }) =>
                !Array.isArray(programs) || programs.some((name) => !/^[\w./-]+$/.test(name)) || !lacks,
        );
        expect(wrong).toEqual([]);
        const drivers = new Map(extensions.map(({ id, programs }) => [id, programs]));
        expect(drivers.get("golang.Go")).toEqual(["go", "gopls", "dlv"]);
    });

    it("has the hash of one file for every platform, or of one for each of the image's", () => {
        const platforms = extensions.map(({ sha256 }) => Object.keys(sha256).join(" "));
        expect(new Set(platforms)).toEqual(new Set(["universal", "linux-x64 linux-arm64"]));
        const hashes = extensions.flatMap(({ sha256 }) => Object.values(sha256));
        expect(hashes.filter((hash) => !/^[0-9a-f]{64}$/.test(hash))).toEqual([]);
        expect(new Set(hashes).size).toBe(hashes.length);
    });
});

describe("the installation of extensions", () => {
    let folder: string;
    let registry: Server;
    let address: string;
    let files: Map<string, Vsix>;

    beforeEach(async () => {
        folder = mkdtempSync(join(tmpdir(), "carbon-extensions-"));
        files = new Map();
        registry = createServer((request, response) => {
            const file = files.get(decodeURIComponent(request.url ?? ""));
            response.statusCode = file ? 200 : 404;
            response.end(file && readFileSync(file.path));
        });
        address = await listen(registry);
    });

    afterEach(() => {
        registry.close();
        rmSync(folder, { recursive: true });
    });

    async function listen(server: Server): Promise<string> {
        await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
        return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    }

    /** Puts an extension into the registry at `path`, and returns its file's hash. */
    function publish(path: string, id: string, content: Record<string, string> = {}): string {
        const vsix = makeVsix(mkdtempSync(join(folder, "vsix-")), id, "1.2.3", content);
        files.set(path, vsix);
        return vsix.sha256;
    }

    function universal(id: string, content: Record<string, string> = {}) {
        const path = `/api/${id.replace(".", "/")}/1.2.3/file/${id}-1.2.3.vsix`;
        return { id, version: "1.2.3", sha256: { universal: publish(path, id, content) } };
    }

    /** Runs the script; `out` is the folder that goes into the image. */
    async function install(list: unknown[], { arch = "amd64", from = address } = {}) {
        writeFileSync(join(folder, "list.json"), JSON.stringify({ extensions: list }));
        const out = mkdtempSync(join(folder, "out-"));
        const args = [script, join(folder, "list.json"), from, arch, out];
        const { exitCode, stdout, stderr } = await execa("python3", args, { reject: false });
        return { exitCode, said: stdout, stderr, out };
    }

    const ten = () => Array.from({ length: 10 }, (_, index) => universal(`carbon.test-${index}`));

    it("unpacks each, programs as programs, and links it among code-server's own", async () => {
        const list = [universal("carbon.test", { "main.js": "// main", "bin/run": "#!/bin/sh\n" })];
        const { exitCode, said, out } = await install(list);
        expect(exitCode).toBe(0);
        expect(said).toBe("==> code-server: 1 of 1 extensions");
        const mode = (path: string) => lstatSync(join(out, unpacked, "carbon.test", path)).mode & 0o777;
        expect([mode("main.js"), mode("bin/run")]).toEqual([0o644, 0o755]);
        expect(readFileSync(join(out, unpacked, "carbon.test/package.json"), "utf8")).toContain("1.2.3");
        expect(readlinkSync(join(out, builtIn, "carbon.test"))).toBe(`/${unpacked}/carbon.test`);
        expect(existsSync(join(out, note))).toBe(false);
    });

    it.each([
        ["amd64", "linux-x64"],
        ["arm64", "linux-arm64"],
    ])("takes the file for %s where there is one for each platform", async (arch, here) => {
        const sha256 = Object.fromEntries(
            ["linux-x64", "linux-arm64"].map((platform) => {
                const path = `/api/carbon/test/${platform}/1.2.3/file/carbon.test-1.2.3@${platform}.vsix`;
                return [platform, publish(path, "carbon.test", { "platform.txt": platform })];
            }),
        );
        const { out } = await install([{ id: "carbon.test", version: "1.2.3", sha256 }], { arch });
        expect(readFileSync(join(out, unpacked, "carbon.test/platform.txt"), "utf8")).toBe(here);
    });

    it.each(["http://carbon.invalid", "refused"])("leaves all out, with a note, where %s", async (from) => {
        const proxy = createServer((_, response) => response.writeHead(403).end());
        const proxyAddress = await listen(proxy);
        const { exitCode, said, out } = await install(ten(), {
            from: from === "refused" ? proxyAddress : from,
        });
        proxy.close();
        expect(exitCode).toBe(0);
        expect(said).toMatch(
            /^==> code-server: http:\S+ cannot be reached \(.+\): the image holds none of the 10 extensions$/,
        );
        expect(readFileSync(join(out, note), "utf8").trim()).toBe(said);
        expect(existsSync(join(out, "opt"))).toBe(false);
    });

    it("leaves out, and names, one that the registry does not have", async () => {
        const list = ten();
        files.delete("/api/carbon/test-7/1.2.3/file/carbon.test-7-1.2.3.vsix");
        const { exitCode, said, out } = await install(list);
        expect(exitCode).toBe(0);
        expect(said).toBe(
            [
                "==> code-server: carbon.test-7 is left out: HTTP Error 404: Not Found",
                "==> code-server: 9 of 10 extensions",
            ].join("\n"),
        );
        expect(existsSync(join(out, unpacked, "carbon.test-7"))).toBe(false);
        expect(lstatSync(join(out, builtIn, "carbon.test-8")).isSymbolicLink()).toBe(true);
    });

    it("ends the build where more than a tenth are missing", async () => {
        const list = ten();
        for (const index of [3, 4]) {
            files.delete(`/api/carbon/test-${index}/1.2.3/file/carbon.test-${index}-1.2.3.vsix`);
        }
        const { exitCode, stderr } = await install(list);
        expect(exitCode).toBe(1);
        expect(stderr).toBe(`2 of 10 extensions could not be had from ${address}.`);
    });

    it.each([
        [
            "has another hash",
            { sha256: { universal: "0".repeat(64) } },
            /its sha256 is [0-9a-f]{64}, not 0{64}/,
        ],
        ["is of other platforms only", { sha256: { "linux-riscv64": "" } }, /no file for linux-x64/],
        ["holds another extension", { id: "carbon.other" }, /its file holds carbon\.test-0/],
    ] as [string, { id?: string; sha256?: object }, RegExp][])(
        "leaves out one whose file %s",
        async (_, change, said) => {
            const list = ten().map((each, index) => (index === 0 ? { ...each, ...change } : each));
            if (change.id) {
                const file = files.get("/api/carbon/test-0/1.2.3/file/carbon.test-0-1.2.3.vsix");
                files.set("/api/carbon/other/1.2.3/file/carbon.other-1.2.3.vsix", file as Vsix);
            }
            const result = await install(list);
            expect(result.said).toMatch(said);
            expect(existsSync(join(result.out, unpacked, list[0]?.id ?? ""))).toBe(false);
            expect(result.exitCode).toBe(0);
        },
    );

    it("leaves out one whose file would write outside its folder", async () => {
        const list = ten()
            .slice(1)
            .concat(universal("carbon.evil", { "../../outside": "text" }));
        const { said, out } = await install(list);
        expect(said).toContain("carbon.evil is left out: extension/../../outside: outside the extension");
        expect(existsSync(join(out, "opt/carbon/outside"))).toBe(false);
    });

    it("names an extension that the image's need and do not have", async () => {
        const manifest = (needs: string) =>
            JSON.stringify({
                publisher: "carbon",
                name: "test",
                extensionDependencies: [needs, "vscode.git"],
            });
        const list = [universal("carbon.test", { "package.json": manifest("carbon.absent") })];
        const { said } = await install(list);
        expect(said).toContain("carbon.test needs carbon.absent, which the image does not hold");
        expect(said).not.toContain("vscode.git");
    });
});
