import { rmSync, writeFileSync } from "node:fs";
import { arch, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { type Platform, suiteImages } from "../../catalogue/images";
import { findProject } from "../../cli/project";
import { readSettings } from "../../cli/stackSettings";
import { type Result, Stack } from "../e2e/stack";
import { imagesOf, Registry, removeImages } from "../registry";
import { SecondEngine } from "../second-engine";
import { provideRegistry } from "../setup/registry";

const port = 23500;
const prefix = `127.0.0.1:${port}/t-registry`;
const slim = { toolsets: [], compute: false, services: [], appPorts: [], imagePrefix: prefix };
const [own, other]: [Platform, Platform] =
    arch() === "arm64" ? ["linux/arm64", "linux/amd64"] : ["linux/amd64", "linux/arm64"];
const suite = new Stack("t-registry", { ...slim, portOffset: 23000 });
let registry: Registry;
let env: { DOCKER_CONFIG: string };

beforeAll(async () => {
    await provideRegistry();
    registry = await Registry.start(port);
    env = { DOCKER_CONFIG: registry.dockerConfig("docker") };
});

afterAll(async () => {
    await suite.remove();
    await removeImages(prefix);
    registry?.remove();
});

async function docker(...args: string[]): Promise<string> {
    return (await execa("docker", args, { env })).stdout;
}

const carbon = (...command: string[]): Promise<Result> => suite.carbon(command, { env });

async function succeeds(...command: string[]): Promise<Result> {
    const result = await carbon(...command);
    expect(result.exitCode, result.said).toBe(0);
    return result;
}

/** Pushes an image that no stack could run, for another platform than this machine's. */
async function pushOther(tag: string): Promise<void> {
    const folder = join(registry.folder, "other");
    await execa("mkdir", ["-p", folder]);
    writeFileSync(join(folder, "Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n");
    await docker(
        "buildx",
        "build",
        "--platform",
        other,
        "--output",
        `type=image,name=${tag},push=true`,
        folder,
    );
}

const image = async () => JSON.parse(await docker("inspect", suite.container("workspace")))[0].Config.Image;

it("pushes with provenance and a bill of materials, and merges what machines of both platforms pushed", async () => {
    const pushed = await succeeds("build", "--push");
    expect(pushed.said).toContain("Not signed: cosign is not installed.");
    const [{ ref }] = pushed.json.images;
    expect(
        JSON.parse(await docker("buildx", "imagetools", "inspect", ref, "--format", "{{json .}}")),
    ).toBeTruthy();
    const provenance = await docker(
        "buildx",
        "imagetools",
        "inspect",
        ref,
        "--format",
        "{{json .Provenance}}",
    );
    expect(provenance).toContain('"buildType"');
    // Of all that decided the image: only mode=max says the arguments.
    expect(provenance).toContain("TOOLSET_DATABASES");
    const tooEarly = await carbon("build", "--merge");
    expect(tooEarly.exitCode).toBe(1);
    expect(tooEarly.said).toMatch(new RegExp(`--${other.replace("linux/", "")} --push`));
    const settings = readSettings(findProject(process.env), suite.name, {
        platforms: JSON.stringify([other]),
    });
    await pushOther(suiteImages(settings).base.tag);
    const merged = await succeeds("build", "--merge", "--tag", "moving");
    expect(merged.json).toMatchObject({
        platforms: ["linux/amd64", "linux/arm64"],
        tags: [`${prefix}/base:moving`],
    });
});

describe("a stack whose images are pulled", () => {
    it("is up after nothing but a download, under the tag of its settings, and drifts from nothing", async () => {
        for (const built of await imagesOf(prefix)) {
            await docker("image", "rm", built);
        }
        suite.configure({ images: "pull" });
        // No builder: a name that there is none of.
        suite.configure({ builder: "t-registry-none" });
        const { json } = await succeeds("up");
        expect(await image()).toMatch(new RegExp(`^${prefix}/base@sha256:[0-9a-f]{64}$`));
        expect(json.images.base).toMatchObject({ ref: await image(), platforms: [own] });
        expect((await carbon("drift")).json).toMatchObject({ clean: true });
    });

    it("says what is in its image from the registry's bill, and builds nothing for it", async () => {
        const { json, said } = await succeeds("sbom");
        expect(json.packages).toContainEqual(expect.objectContaining({ name: "openssh-server" }));
        expect(said).not.toContain("building with");
        const text = await execa("node", ["cli/carbon.js", "sbom", "--stack", suite.name], { env });
        expect(text.stdout).toMatch(/^Debian +openssh-server +1:/m);
        expect(text.stdout).toMatch(/\d+ packages in .*Debian \d+/);
    });

    it("refuses to build, and images that were built with other settings or for another platform", async () => {
        expect((await carbon("build")).said).toContain("takes its images from a registry");
        suite.configure({ pulledImages: { base: "moving" }, toolsets: ["databases"] });
        expect((await carbon("up")).said).toContain(
            `${prefix}/base:moving was built with other settings: toolsets none, and carbon:toolsets is databases.`,
        );
        await pushOther(`${prefix}/base:other`);
        suite.configure({ pulledImages: { base: "other" }, toolsets: [] });
        expect((await carbon("up")).said).toContain(
            `${prefix}/base:other is there for ${other}, and not for ${own}.`,
        );
        suite.configure({ pulledImages: { base: "nowhere" } });
        expect((await carbon("up")).said).toContain(`the registry has no image ${prefix}/base:nowhere.`);
    });

    it("refuses a wrong login before anything is touched, and says how to log in", async () => {
        suite.configure({ pulledImages: { base: "moving" } });
        const before = await suite.inspect("workspace");
        const wrong = { DOCKER_CONFIG: registry.dockerConfig("wrong", { user: "ada", password: "guess" }) };
        const refused = await suite.carbon(["up"], { env: wrong });
        expect(refused.exitCode).toBe(1);
        expect(refused.said).toContain("1 problem to solve first; nothing was changed:");
        expect(refused.said).toMatch(
            /does not hand out .*\/base:moving .*401 Unauthorized.*docker login 127\.0\.0\.1:23500/,
        );
        expect(refused.said).not.toContain("guess");
        expect((await suite.inspect("workspace")).Id).toBe(before.Id);
    });

    it("finds a tag that was moved under it, and follows it, with a way back", async () => {
        await succeeds("up");
        const before = await image();
        const folder = join(registry.folder, "moved");
        await execa("mkdir", ["-p", folder]);
        writeFileSync(join(folder, "Dockerfile"), `FROM ${before}\nRUN touch /etc/moved\n`);
        const name = `name=${prefix}/base:moving`;
        await docker(
            "buildx",
            "build",
            "--output",
            `type=image,${name},push=true,oci-mediatypes=true`,
            folder,
        );
        const drift = await carbon("drift");
        expect(drift.exitCode).toBe(3);
        expect(drift.json.differences).toContainEqual(
            expect.objectContaining({ what: "base-image", property: "name", found: before }),
        );
        await succeeds("up");
        expect(await image()).not.toBe(before);
        expect((await suite.shell("ls /etc/moved")).exitCode).toBe(0);
        expect((await carbon("drift")).json).toMatchObject({ clean: true });
        await succeeds("rollback");
        expect(await image()).toBe(before);
    });

    it("pulls an image again that was deleted here", async () => {
        await succeeds("up", "--new-images");
        const gone = await image();
        // Docker keeps what a container runs from.
        await docker("rm", "--force", suite.container("workspace"));
        await docker("image", "rm", gone);
        const drift = await carbon("drift");
        expect(drift.json.differences).toContainEqual(
            expect.objectContaining({ what: `image ${gone}`, property: "existence", found: "gone" }),
        );
        await succeeds("up");
        expect((await carbon("drift")).json).toMatchObject({ clean: true });
    });

    it("by digest asks no registry as long as its image is here", async () => {
        const digest = (await image()).replace(/^.*@/, "");
        suite.configure({ pulledImages: { base: digest } });
        registry.stop();
        await succeeds("up");
        suite.configure({ pulledImages: { base: "moving" } });
        const refused = await carbon("up");
        expect(refused.said).toMatch(/the registry 127\.0\.0\.1:23500 does not answer .*connection refused/);
        expect(refused.exitCode).toBe(1);
        expect((await carbon("status")).exitCode).toBe(0);
        await registry.serve();
    });
});

describe("a second machine", () => {
    const name = "t-registry-two";
    const file = resolve(__dirname, `../../Pulumi.${name}.yaml`);
    const workspaceDir = join(tmpdir(), `carbon-${name}`);
    let engine: SecondEngine;
    let seen: Registry;

    beforeAll(async () => {
        engine = await SecondEngine.start(23);
        seen = await registry.within(engine.namespace);
        const settings = { ...slim, images: "pull", portOffset: 23000, workspaceDir };
        const config = Object.entries(settings).map(([key, value]) => [`carbon:${key}`, value]);
        writeFileSync(file, stringify({ config: Object.fromEntries(config) }));
    });

    afterAll(async () => {
        await there("down", "--volumes").catch(() => {});
        await engine?.remove();
        seen?.stop();
        rmSync(file, { force: true });
        rmSync(workspaceDir, { recursive: true, force: true });
        rmSync(resolve(__dirname, `../../.carbon/state/.pulumi/stacks/carbon/${name}.json`), { force: true });
    });

    /** The command as whoever sits at that machine types it. */
    async function there(...command: string[]): Promise<{ exitCode: number; said: string }> {
        const args = ["node", "cli/carbon.js", ...command, "--stack", name, "--yes"];
        const { exitCode, all } = await execa("nsenter", [`--net=/run/netns/${engine.namespace}`, ...args], {
            // A CI system would have colours in tables.
            env: { ...env, DOCKER_HOST: engine.host, NO_COLOR: "1" },
            reject: false,
            all: true,
            stdin: "ignore",
        });
        return { exitCode: exitCode ?? -1, said: all };
    }

    it("goes on with the next up where the registry failed in the middle of the download", async () => {
        const putBack = registry.hideLargest();
        const cut = await there("up");
        putBack();
        expect(cut.exitCode, cut.said).toBe(1);
        expect(cut.said).toMatch(/The image .*\/base@sha256:\w+ is not here and cannot be pulled: /);
        const { exitCode, said } = await there("up");
        expect(exitCode, said).toBe(0);
        expect(said).toMatch(/port-ssh +PASS/);
        expect((await there("drift")).exitCode).toBe(0);
    });
});
