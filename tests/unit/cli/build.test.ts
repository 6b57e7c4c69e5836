import { describe, expect, it } from "vitest";
import { suiteImages } from "../../../catalogue/images";
import { buildCommand } from "../../../cli/buildImages";
import { parseSettings } from "../../../settings/parse";
import { healthyDocker, portOffset, sandbox } from "./harness";

const machine = {
    env: {},
    home: "/home/me",
    user: "me",
    projectDir: "/project",
    arch: "arm64",
    readFile: () => undefined,
    isNotFolder: () => false,
    sockets: () => [],
    realpath: (file: string) => file,
    platform: "linux",
};

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
            ...["--output", `type=image,push=false,oci-mediatypes=true,compression=zstd,name=${base.tag}`],
            ...["--label", `carbon.content=${base.id}`],
            ...["--platform", "linux/arm64", "--platform", "linux/amd64"],
            ...["--tag", base.tag],
            ...["--file", "dockerfiles/base/Dockerfile"],
            ".",
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
