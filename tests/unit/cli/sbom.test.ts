import { describe, expect, it } from "vitest";
import { type Bill, packagesOf } from "../../../cli/billOfMaterials";
import { type Sandbox, sandbox } from "./harness";

const prefix = "ghcr.io/ada/carbon";
const digest = `sha256:${"5".repeat(64)}`;

function packaged(purl: string, name: string, versionInfo: string) {
    return { name, versionInfo, externalRefs: [{ referenceType: "purl", referenceLocator: purl }] };
}

const bill: Bill = {
    spdxVersion: "SPDX-2.3",
    packages: [
        packaged("pkg:pypi/numpy@2.3.1", "numpy", "2.3.1"),
        packaged("pkg:npm/left-pad@1.0.0", "left-pad", "1.0.0"),
        packaged("pkg:deb/debian/bash@5.2", "bash", "5.2"),
        packaged("pkg:deb/debian/bash@5.2", "bash", "5.2"),
        { name: "core" },
    ],
};

it("lists each package once, by kind and name, and not the image itself", () => {
    expect(packagesOf(bill)).toEqual([
        { kind: "deb", name: "bash", version: "5.2" },
        { kind: "npm", name: "left-pad", version: "1.0.0" },
        { kind: "pypi", name: "numpy", version: "2.3.1" },
    ]);
});

/** A stack that pulls `base` by digest from a registry that has these bills of it. */
function pulling(sbom: unknown): Sandbox {
    const box = sandbox();
    const settings = { imagePrefix: prefix, compute: false, images: "pull", platforms: ["linux/amd64"] };
    box.configure({ ...settings, pulledImages: { base: digest } });
    const platform = { os: "linux", architecture: "amd64" };
    const manifests = [{ digest, platform }];
    const image = { "linux/amd64": { config: {} } };
    box.install("docker", [
        { match: "^buildx imagetools inspect .*json .SBOM", stdout: JSON.stringify(sbom) },
        {
            match: "^buildx imagetools inspect ",
            stdout: JSON.stringify({ manifest: { digest, manifests }, image }),
        },
        { match: "^image inspect ", code: 1, stderr: "No such image\n" },
    ]);
    return box;
}

describe("sbom", () => {
    it.each([
        ["of one platform", { SPDX: bill }],
        ["of several", { "linux/arm64": { SPDX: { packages: [] } }, "linux/amd64": { SPDX: bill } }],
    ])("prints the bill that an image %s was pushed with, as a table or as SPDX", async (_, sbom) => {
        const box = pulling(sbom);
        const { exitCode, stdout, stderr } = await box.carbon(["sbom"]);
        expect(exitCode, stderr).toBe(0);
        expect(stdout).toMatch(/^Debian +bash +5\.2$/m);
        expect(stdout).toMatch(/^Python +numpy +2\.3\.1$/m);
        expect(stdout).toContain(
            `3 packages in ${prefix}/base@${digest} (linux/amd64): Debian 1, npm 1, Python 1`,
        );
        expect(JSON.parse((await box.carbon(["sbom", "base", "--json"])).stdout)).toEqual(bill);
    });

    it("prints nothing that moves a terminal, whatever a package is called", async () => {
        const evil = packaged("pkg:npm/x@1", "\x1b[2Jx", "1");
        const { stdout } = await pulling({ SPDX: { packages: [evil] } }).carbon(["sbom"]);
        expect(stdout).toContain("npm");
        expect(stdout).not.toContain("\x1b");
    });

    it("prints a kind of package that no word of JavaScript's stands for", async () => {
        const strange = packaged("pkg:constructor/x@1", "x", "1");
        const { exitCode, stdout } = await pulling({ SPDX: { packages: [strange] } }).carbon(["sbom"]);
        expect(exitCode).toBe(0);
        expect(stdout).toMatch(/: constructor 1$/);
    });

    it("says where there is none, what it is not, and what the stack has not", async () => {
        const without = await pulling({}).carbon(["sbom"]);
        expect(without.exitCode).toBe(1);
        expect(without.stderr).toContain(`There is no bill of materials of ${prefix}/base@${digest}`);
        const strange = await pulling({ SPDX: { packages: "many" } }).carbon(["sbom"]);
        expect(strange.stderr).toContain("has another shape than it should");
        const compute = await pulling({}).carbon(["sbom", "compute"]);
        expect(compute.stderr).toContain("The stack dev has no compute image");
    });
});
