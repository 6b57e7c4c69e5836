import * as command from "@pulumi/command";
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";

const config = new pulumi.Config();
const prefix = config.require("prefix");
const labels = [{ label: "test", value: "yes" }];
const data = new docker.Volume("data", { name: `${prefix}-data`, labels });
const container = new docker.Container(
    "container",
    {
        name: `${prefix}-container`,
        image: "docker.io/library/debian:trixie-slim",
        command: ["sleep", "infinity"],
        init: true,
        mustRun: true,
        memory: config.requireNumber("memory"),
        memorySwap: config.requireNumber("memory") * 2,
        volumes: [{ volumeName: data.name, containerPath: "/data" }],
        capabilities: { adds: ["CAP_CHOWN", "CAP_KILL"], drops: ["ALL"] },
        securityOpts: ["no-new-privileges:true"],
        logDriver: "json-file",
        logOpts: { "max-size": config.require("logSize"), "max-file": "3" },
    },
    { deleteBeforeReplace: true },
);
// The provider has no input for it.
new command.local.Command("processes", {
    create: 'docker update --pids-limit "$LIMIT" "$CONTAINER"',
    environment: { CONTAINER: container.id, LIMIT: "77" },
    triggers: [container.id, "77"],
});
