import * as command from "@pulumi/command";
import * as docker from "@pulumi/docker";
import * as dockerBuild from "@pulumi/docker-build";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";

const config = new pulumi.Config();

class Workspace extends pulumi.ComponentResource {
    readonly image: dockerBuild.Image;
    readonly container: docker.Container;
    readonly password: random.RandomPassword;
    constructor(name: string, opts?: pulumi.ComponentResourceOptions) {
        super("carbon-reference:index:Workspace", name, {}, opts);
        const child = { parent: this };
        this.password = new random.RandomPassword(`${name}-password`, { length: 20, special: false }, child);
        this.image = new dockerBuild.Image(
            `${name}-image`,
            {
                context: { location: "./ctx" },
                buildArgs: { ROOT_IMAGE: "debian:trixie-slim" },
                platforms: ["linux/amd64"],
                tags: ["docker.io/carbon/reference:dev"],
                exec: true,
                builder: { name: "default" },
                push: false,
                exports: [
                    {
                        image: {
                            names: ["docker.io/carbon/reference:dev"],
                            compression: "zstd",
                            ociMediaTypes: true,
                        },
                    },
                ],
                buildOnPreview: false,
            },
            child,
        );
        const network = new docker.Network(`${name}-network`, { name: "carbon-reference" }, child);
        const volume = new docker.Volume(
            `${name}-data`,
            { name: "carbon-reference-data" },
            { ...child, retainOnDelete: false },
        );
        this.container = new docker.Container(
            `${name}-container`,
            {
                name: "carbon-reference",
                image: this.image.ref,
                hostname: "carbon",
                command: ["sleep", "infinity"],
                envs: [pulumi.interpolate`GREETING=${config.get("greeting") ?? "hello"}`],
                uploads: [
                    { file: "/run/carbon/password", content: this.password.result, permissions: "0400" },
                ],
                labels: [{ label: "carbon.stack", value: pulumi.getStack() }],
                networksAdvanced: [{ name: network.name, aliases: ["workspace"] }],
                ports: [{ internal: 8080, external: 18081, ip: "127.0.0.1" }],
                volumes: [{ volumeName: volume.name, containerPath: "/data" }],
                hosts: [{ host: "host.docker.internal", ip: "host-gateway" }],
                healthcheck: {
                    tests: ["CMD", "test", "-e", "/hello"],
                    interval: "2s",
                    timeout: "2s",
                    retries: 5,
                    startPeriod: "1s",
                },
                restart: "unless-stopped",
                shmSize: 256,
                memory: 512,
                memorySwap: 1024,
                init: true,
                mustRun: true,
                wait: true,
                waitTimeout: 60,
            },
            { ...child, deleteBeforeReplace: true },
        );
        this.registerOutputs({ containerId: this.container.id });
    }
}

const ws = new Workspace("workspace");
const verify = new command.local.Command(
    "verify",
    {
        create: pulumi.interpolate`docker exec ${ws.container.name} cat /hello`,
        triggers: [ws.container.id, ws.image.ref],
        logging: "none",
    },
    { dependsOn: [ws] },
);
export const imageRef = ws.image.ref;
export const verified = verify.stdout;
export const password = ws.password.result;
