import * as dockerBuild from "@pulumi/docker-build";
import * as pulumi from "@pulumi/pulumi";

const config = new pulumi.Config();
const image = new dockerBuild.Image("heavy", {
    context: { location: "ctx" },
    buildArgs: { ROOT_IMAGE: "docker.io/library/debian:trixie-slim", STEP: config.require("step") },
    target: "heavy",
    exec: true,
    builder: { name: "default" },
    push: false,
    exports: [{ cacheonly: {} }],
    buildOnPreview: false,
});
export const { digest, ref, target } = image;
