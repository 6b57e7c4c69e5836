import { describe, expect, it } from "vitest";
import { suiteImages } from "../../../catalogue/images";
import { baseToolsets } from "../../../catalogue/toolsets";
import { suiteVersion } from "../../../catalogue/version";
import { buildCommand } from "../../../cli/buildImages";
import { scannerReference } from "../../../cli/publish";
import { parseSettings } from "../../../settings/parse";
import { bareMachine } from "../machine";
import { healthyDocker, portOffset, type Sandbox, sandbox } from "./harness";

const machine = { ...bareMachine, arch: "arm64" };

describe("build", () => {
    it("tells buildx what the program's image resources say", () => {
        const settings = parseSettings("dev", { platforms: '["linux/arm64","linux/amd64"]' }, machine);
        const { base } = suiteImages(settings, () => "sources");
        expect(base.tag).toMatch(/^localhost\/carbon\/base:[0-9a-f]{12}$/);
        const image = { ...base, buildArgs: { ROOT_IMAGE: settings.rootImage } };
        expect(buildCommand(image, settings, "/scratch")).toEqual([
            ...["buildx", "build"],
            ...["--metadata-file", "/scratch/metadata.json"],
            ...["--builder", "default"],
            ...["--build-arg", "ROOT_IMAGE=docker.io/library/debian:trixie-slim"],
            ...[
                "--output",
                `type=image,push=false,oci-mediatypes=true,compression=zstd,compression-level=3,name=${base.tag}`,
            ],
            ...["--label", `carbon.content=${base.id}`],
            ...["--label", `carbon.version=${suiteVersion}`],
            ...["--label", "carbon.rootImage=docker.io/library/debian:trixie-slim"],
            ...["--label", `carbon.toolsets=${baseToolsets.join(",")}`],
            ...["--platform", "linux/arm64", "--platform", "linux/amd64"],
            ...["--tag", base.tag],
            ...["--file", "dockerfiles/base/Dockerfile"],
            ".",
        ]);
    });

    it("has attestations of what is pushed alone", () => {
        const settings = parseSettings("dev", {}, machine);
        const { base } = suiteImages(settings, () => "sources");
        const without = buildCommand(base, settings, "/scratch");
        const pushed = buildCommand(base, settings, "/scratch", "r/sbom:1");
        expect(pushed.filter((word) => !without.includes(word))).toEqual([
            "--attest",
            "type=provenance,mode=max",
            "--attest",
            "type=sbom,generator=r/sbom:1",
        ]);
    });

    it("refuses to push to a registry that is nobody's", async () => {
        const box = sandbox();
        box.install("docker", healthyDocker);
        const { exitCode, stderr } = await box.carbon(["build", "--push"]);
        expect(exitCode).toBe(1);
        expect(stderr).toContain("carbon:push");
        expect(box.calls()).toEqual([]);
    });

    it("says which image failed, and builds no other", async () => {
        const box = sandbox();
        box.configure({});
        box.install("docker", [
            { match: "^buildx build ", code: 1, stderr: "ERROR: boom\n" },
            ...healthyDocker,
        ]);
        const { exitCode, stderr } = await box.carbon(["build", "--arm64", "--amd64"]);
        expect(exitCode).toBe(1);
        expect(stderr).toBe("ERROR: boom\nerror: Building the image base failed; what went wrong is above.");
        const builds = box.commands("docker").filter((command) => command.startsWith("buildx build "));
        expect(builds).toHaveLength(1);
        expect(builds[0]).toContain(" --platform linux/arm64 --platform linux/amd64 ");
    });

    it("builds compute on the base's tag, with the tags that the program gives them", async () => {
        const box = sandbox();
        box.configure({ portOffset });
        // Without its report of the digest no build has succeeded; the first is enough here.
        box.install("docker", [{ match: "^buildx build ", code: 1 }, ...healthyDocker]);
        await box.carbon(["build"]);
        const { base, compute } = suiteImages(parseSettings("dev", {}, { ...machine, arch: process.arch }));
        const [command] = box.commands("docker").filter((line) => line.startsWith("buildx build "));
        expect(command).toContain(` --tag ${base.tag} `);
        expect(compute?.buildArgs.BASE_IMAGE).toBe(base.tag);
    });
});

const prefix = "ghcr.io/ada/carbon";
const merged = `sha256:${"5".repeat(64)}`;

/** A registry that has every image, by one digest. */
const registry = [
    {
        match: "^buildx imagetools inspect ",
        stdout: JSON.stringify({
            manifest: { digest: merged },
            image: { os: "linux", architecture: "amd64", config: {} },
        }),
    },
    { match: "^buildx imagetools create ", stdout: "" },
];

function publishing(): Sandbox {
    const box = sandbox();
    box.configure({ imagePrefix: prefix, compute: false, toolsets: [], services: [] });
    box.install("docker", registry);
    return box;
}

it("machines of two kinds have a scanner each in the registry that they share, as BuildKit runs it as it is", () => {
    const [one, other] = (["linux/amd64", "linux/arm64"] as const).map((machinePlatform) =>
        scannerReference({ imagePrefix: prefix, machinePlatform }),
    );
    expect(one).toMatch(/^ghcr\.io\/ada\/carbon\/sbom:[0-9a-f]{12}-amd64$/);
    expect(other).toBe(one?.replace("amd64", "arm64"));
});

describe("build --merge", () => {
    it("makes one image of what both platforms' builds are pushed under, with one more tag where it is asked for", async () => {
        const box = publishing();
        const { exitCode, stdout } = await box.carbon(["build", "--merge", "--tag", "2026.1", "--json"]);
        expect(exitCode).toBe(0);
        const tag = (...platforms: ("linux/amd64" | "linux/arm64")[]) => {
            const config = { imagePrefix: prefix, compute: "false", toolsets: "[]", services: "[]" };
            return suiteImages({ ...parseSettings("dev", config, machine), platforms }).base.tag;
        };
        const [amd64, arm64, both] = [
            tag("linux/amd64"),
            tag("linux/arm64"),
            tag("linux/arm64", "linux/amd64"),
        ];
        const creations = box.commands("docker").filter((line) => line.includes(" create "));
        expect(creations).toEqual([
            `buildx imagetools create --tag ${both} ${amd64} ${arm64}`,
            `buildx imagetools create --tag ${prefix}/base:2026.1 ${both}@${merged}`,
        ]);
        expect(JSON.parse(stdout)).toMatchObject({
            platforms: ["linux/amd64", "linux/arm64"],
            images: [{ name: "base", ref: `${both}@${merged}` }],
            tags: [`${prefix}/base:2026.1`],
            signed: false,
        });
    });

    it("says what a registry says that hands nothing out, instead of having it all built again", async () => {
        const box = publishing();
        const denied = { match: "^buildx imagetools inspect ", code: 1, stderr: "ERROR: 401 Unauthorized\n" };
        box.install("docker", [denied]);
        const { exitCode, stderr } = await box.carbon(["build", "--merge"]);
        expect(exitCode).toBe(1);
        expect(stderr).toMatch(/base:\w+ \(.*401 Unauthorized\)/);
        expect(stderr).not.toContain("--push");
    });

    it("names all that is missing, and how it comes there, and changes nothing", async () => {
        const box = publishing();
        box.install("docker", [
            { match: "^buildx imagetools inspect ", code: 1, stderr: "ERROR: x: not found\n" },
        ]);
        box.configure({ imagePrefix: prefix, compute: false, toolsets: [], services: [] }, "registry");
        const { exitCode, stderr } = await box.carbon(["build", "--merge", "--stack", "registry"]);
        expect(exitCode).toBe(1);
        expect(stderr).toMatch(
            /to be merged:\n.*`\.\/carbon build --amd64 --push --stack registry`.*\n.*--arm64 --push --stack registry/,
        );
        expect(box.commands("docker").filter((line) => line.includes(" create "))).toEqual([]);
    });

    it.each([
        [["--merge", "--push"], "Leave --push and the platforms out"],
        [["--merge", "--arm64"], "Leave --push and the platforms out"],
        [["--tag", "2026.1"], "--tag is for the registry. Add --push."],
        [["--push", "--tag", "a b"], "Use up to 128 letters"],
    ])("refuses %j as wrong usage before anything is done", async (flags, message) => {
        const box = publishing();
        const { exitCode, stderr } = await box.carbon(["build", ...flags]);
        expect(exitCode).toBe(2);
        expect(stderr).toContain(message);
        expect(box.commands("docker").filter((line) => line.startsWith("buildx"))).toEqual([]);
    });

    it("is not for a stack whose images are pulled, nor is any build", async () => {
        const box = publishing();
        box.configure({ imagePrefix: prefix, compute: false, toolsets: [], services: [], images: "pull" });
        const { exitCode, stderr } = await box.carbon(["build"]);
        expect(exitCode).toBe(1);
        expect(stderr).toContain("The stack dev takes its images from a registry (carbon:images is pull)");
        expect(box.commands("docker").filter((line) => line.startsWith("buildx"))).toEqual([]);
    });
});

describe("cosign", () => {
    const signatures = (box: Sandbox) => box.commands("cosign").filter((line) => line.startsWith("sign "));

    it("signs what is in the registry by its digest, with the key that a variable names", async () => {
        const box = publishing();
        box.install("cosign", [{ match: "^(version|sign )" }]);
        const { stdout } = await box.carbon(["build", "--merge"]);
        expect(stdout).toContain("Signed with cosign.");
        await box.carbon(["build", "--merge"], { COSIGN_KEY: "/keys/cosign.key" });
        expect(signatures(box)).toEqual([
            `sign --yes ${prefix}/base@${merged}`,
            `sign --yes --key /keys/cosign.key ${prefix}/base@${merged}`,
        ]);
    });

    it("that is not there, or not wanted, signs nothing, and that is said", async () => {
        const box = publishing();
        expect((await box.carbon(["build", "--merge"])).stdout).toContain(
            "Not signed: cosign is not installed.",
        );
        box.install("cosign", [{ match: "^(version|sign )" }]);
        await box.carbon(["build", "--merge", "--no-sign"]);
        expect(signatures(box)).toEqual([]);
    });

    it("that fails is an error, which says that the image is pushed", async () => {
        const box = publishing();
        box.install("cosign", [{ match: "^version" }, { match: "^sign ", code: 1, stderr: "no key\n" }]);
        const { exitCode, stderr } = await box.carbon(["build", "--merge"]);
        expect(exitCode).toBe(1);
        expect(stderr).toMatch(/no key\n.*is pushed, but cosign could not sign it/s);
    });
});
