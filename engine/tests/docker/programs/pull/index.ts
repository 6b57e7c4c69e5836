import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";

const config = new pulumi.Config();
const image = config.require("image");
const platform = `linux/${process.arch === "arm64" ? "arm64" : "amd64"}`;
// As an image of its own, where the program wants to know that it is there before anything takes it.
const pulled = config.getBoolean("separately")
    ? new docker.RemoteImage("image", { name: image, platform, keepLocally: true })
    : undefined;
new docker.Container("pulled", {
    name: `${config.require("prefix")}-pulled`,
    image: pulled?.name ?? image,
    command: ["sleep", "infinity"],
    init: true,
});

export const repoDigest = pulled?.repoDigest;
