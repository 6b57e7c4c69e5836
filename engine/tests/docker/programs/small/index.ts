import * as command from "@pulumi/command";
import * as docker from "@pulumi/docker";
import * as dockerBuild from "@pulumi/docker-build";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";

const config = new pulumi.Config();
const prefix = config.require("prefix");
const context = config.require("context");
const subnet = config.get("subnet");
const tag = `docker.io/${prefix}/image:test`;

/** Things that the engine must refuse, by the name of what they try. */
const extras: Record<string, () => void> = {
    type: () => new docker.Tag("tag", { sourceImage: "debian", targetImage: "other" }),
    error: () => {
        throw new pulumi.RunError("The program itself says no.");
    },
};
extras[config.get("extra") ?? ""]?.();

class Pair extends pulumi.ComponentResource {
    readonly first: docker.Container;
    readonly image: dockerBuild.Image;
    readonly password: random.RandomPassword;

    constructor(name: string) {
        super("engine-test:index:Pair", name);
        const child = { parent: this };
        this.password = new random.RandomPassword("password", { length: 24, special: false }, child);
        this.image = new dockerBuild.Image(
            "image",
            {
                context: { location: context },
                buildArgs: {
                    ROOT_IMAGE: "docker.io/library/debian:trixie-slim",
                    GREETING: config.require("greeting"),
                },
                tags: [tag],
                exec: true,
                builder: { name: "default" },
                push: false,
                exports: [{ image: { names: [tag], compression: "zstd", ociMediaTypes: true } }],
                secrets: { token: "build-secret-value" },
                buildOnPreview: false,
            },
            { ...child, retainOnDelete: true },
        );
        const network = new docker.Network(
            "network",
            {
                name: `${prefix}-net`,
                labels: [{ label: "test", value: config.require("networkLabel") }],
                ipamConfigs: subnet
                    ? [{ subnet, gateway: subnet.replace("0/", "1/").replace(/\/.*/, "") }]
                    : undefined,
            },
            child,
        );
        const data = new docker.Volume(
            "data",
            { name: `${prefix}-data` },
            { ...child, retainOnDelete: true },
        );
        const shared = {
            image: this.image.ref,
            networksAdvanced: [{ name: network.name, aliases: ["pair"] }],
            mustRun: true,
            init: true,
        };
        this.first = new docker.Container(
            "first",
            {
                ...shared,
                name: `${prefix}-first`,
                uploads: [{ file: "/run/secret", content: this.password.result, permissions: "0400" }],
                volumes: [{ volumeName: data.name, containerPath: "/data" }],
                ports: [{ internal: 80, external: config.requireNumber("port"), ip: "127.0.0.1" }],
                memory: config.requireNumber("memory"),
                memorySwap: config.requireNumber("memory") * 2,
                healthcheck: {
                    tests: ["CMD", "test", "-e", config.requireBoolean("healthy") ? "/hello" : "/nowhere"],
                    interval: "500ms",
                    timeout: "5s",
                    retries: 2,
                },
                wait: true,
                waitTimeout: config.requireBoolean("healthy") ? 60 : 3,
            },
            { ...child, deleteBeforeReplace: true, replaceOnChanges: ["healthcheck"] },
        );
        if (config.requireBoolean("second")) {
            new docker.Container("second", { ...shared, name: `${prefix}-second` }, child);
        }
        this.registerOutputs({ id: this.first.id });
    }
}

const pair = new Pair("pair");
const check = new command.local.Command("check", {
    create: pulumi.interpolate`docker exec ${pair.first.name} cat /hello`,
    triggers: [pair.first.id],
    logging: "none",
});
export const said = check.stdout;
export const ref = pair.image.ref;
export const password = pair.password.result;
