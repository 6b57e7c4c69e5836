import {
    mkdirSync,
    mkdtempSync,
    readdirSync,
    readFileSync,
    readlinkSync,
    rmSync,
    writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { execaSync } from "execa";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const dockerfiles = join(__dirname, "../../../dockerfiles");

describe("the kernels that Jupyter is shown", () => {
    const script = join(dockerfiles, "compute/build/image/offer-kernels");
    let folder: string;

    beforeEach(() => {
        folder = mkdtempSync(join(tmpdir(), "carbon-kernels-"));
        for (const file of [
            "java/java/kernel.json",
            "rust/rust/kernel.json",
            "go/go/kernel.json",
            "dotnet/.net-csharp/kernel.json",
            "dotnet/tool/App.dll",
        ]) {
            mkdirSync(join(folder, "kernels", dirname(file)), { recursive: true });
            writeFileSync(join(folder, "kernels", file), "{}");
        }
    });
    afterEach(() => rmSync(folder, { recursive: true }));

    function offered(toolsets: string[]): string[] {
        const imageJson = join(folder, "image.json");
        writeFileSync(imageJson, JSON.stringify({ toolsets }));
        const links = join(folder, "links");
        execaSync(script, [imageJson, join(folder, "kernels"), links]);
        return readdirSync(links)
            .sort()
            .map((name) => readlinkSync(join(links, name)));
    }

    it("are those whose language the base has", () => {
        expect(offered(["python", "java", "rust", "dotnet"])).toEqual([
            "/opt/carbon/kernels/dotnet/.net-csharp",
            "/opt/carbon/kernels/java/java",
            "/opt/carbon/kernels/rust/rust",
        ]);
    });

    it("are none where the base has none of the languages", () => {
        expect(offered(["desktop"])).toEqual([]);
    });
});

it("pins every vendor's download by version and hash", () => {
    const versions = JSON.parse(readFileSync(join(dockerfiles, "versions.json"), "utf8"));
    for (const [name, entry] of Object.entries<Record<string, unknown>>(versions)) {
        const files = [entry.amd64, entry.arm64].every(Boolean) ? [entry.amd64, entry.arm64] : [entry];
        expect(entry.version, name).toMatch(/^\d+(\.\d+)+$/);
        for (const file of files as Record<string, string>[]) {
            expect(file.sha512 ?? file.sha256, name).toMatch(
                file.sha512 ? /^[0-9a-f]{128}$/ : /^[0-9a-f]{64}$/,
            );
        }
    }
});

it("pins every module of the Go kernel by its hash", () => {
    const folder = join(dockerfiles, "compute/kernels/go");
    const required = [
        ...readFileSync(join(folder, "go.mod"), "utf8").matchAll(/^(?:require)?\s+(\S+\.\S+\/\S+ v\S+)/gm),
    ];
    expect(required.length).toBeGreaterThan(0);
    const sums = readFileSync(join(folder, "go.sum"), "utf8");
    for (const [, module] of required) {
        expect(sums).toMatch(new RegExp(`^${module} h1:[\\w+/]{43}=$`, "m"));
    }
});
