import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";

const config = new pulumi.Config();
const image = config.require("image");
const provider = new docker.Provider("docker", {
    host: config.require("host"),
    registryAuth: [{ address: image.replace(/\/.*/, "") }],
});
new docker.Service(
    "service",
    {
        name: `${config.require("prefix")}-service`,
        mode: { replicated: { replicas: 2 } },
        endpointSpec: { mode: "dnsrr" },
        convergeConfig: { delay: "1s", timeout: "1m" },
        taskSpec: { containerSpec: { image, args: ["sleep", "1000"] } },
    },
    { provider },
);
