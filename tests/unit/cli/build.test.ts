import { describe, expect, it } from "vitest";
import { baseImage } from "../../../catalogue/images";
import { buildxArgs } from "../../../cli/images";
import { parseSettings } from "../../../settings/parse";
import { healthyDocker, sandbox } from "./harness";

const machine = {
    env: {},
    home: "/home/me",
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
        const image = { ...baseImage(settings), buildArgs: { ROOT_IMAGE: settings.rootImage } };
        expect(buildxArgs(image, settings, "/scratch")).toEqual([
            "buildx",
            "build",
            "--builder",
            "default",
            "--file",
            "dockerfiles/base/Dockerfile",
            "--platform",
            "linux/arm64,linux/amd64",
            "--build-arg",
            "ROOT_IMAGE=docker.io/library/debian:trixie-slim",
            "--output",
            "type=image,name=docker.io/carbon/base:dev,compression=zstd,compression-level=3,oci-mediatypes=true,push=false",
            "--metadata-file",
            "/scratch/metadata.json",
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
        expect(builds[0]).toContain(" --platform linux/arm64,linux/amd64 ");
    });
});
