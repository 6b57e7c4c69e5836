import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";

const config = new pulumi.Config();
new docker.Container("pulled", {
    name: `${config.require("prefix")}-pulled`,
    image: config.require("image"),
    command: ["sleep", "infinity"],
    init: true,
});
