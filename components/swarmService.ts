import { createHmac } from "node:crypto";
import { basename } from "node:path";
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { boundedLog, patienceSeconds } from "../catalogue";
import { memoryLimit } from "../catalogue/chosen";
import { containerName, stackLabels } from "../catalogue/names";
import {
    type GeneratedSecret,
    type HandedFile,
    handedOver,
    healthcheck,
    type MountedVolume,
    privileges,
    type Reachable,
    type ServiceArgs,
    variables,
} from "./service";

/** Arguments of {@link SwarmService}. */
export interface SwarmServiceArgs extends Omit<ServiceArgs, "image" | "network" | "keys"> {
    /** Image with its digest, so that every node runs the same. */
    image: pulumi.Input<string>;
    /** Id of the stack's overlay network. */
    networkId: pulumi.Input<string>;
    /** Number of containers, on whichever nodes have room. */
    replicas: number;
    /** What a node must be like, as placement constraints. */
    constraints: string[];
    /** CPUs of each container. */
    cpus: number;
}

const mebibyte = 1024 * 1024;
const nanoCpus = 1_000_000_000;

/**
 * A service of the suite as a service of a Docker Swarm: as many containers as asked for, on whichever nodes have room,
 * each with its memory and CPUs reserved. A container that ends is started again, on another node where its own is gone; a
 * change is rolled out to a quarter of them at a time. What a container is handed as a file on one machine are secrets of
 * the Swarm here, which are encrypted on the way and never on a node's disk.
 *
 * Others find it by name alone, all of its containers at once (`dnsrr`): a virtual address would need IPVS in the nodes'
 * kernels. It publishes no port. The provider's service has no argument for a limit of processes, nor for
 * `no-new-privileges`.
 */
export class SwarmService extends pulumi.ComponentResource implements Reachable {
    readonly spec: Reachable["spec"];
    /** None: what such a service would be handed is others'. */
    readonly secrets: GeneratedSecret[] = [];
    /** None: a volume is on one node. */
    readonly sharedVolumes: MountedVolume[] = [];
    readonly resource: pulumi.Resource;
    /** Id of the service. It stays when the service is updated. */
    readonly serviceId: pulumi.Output<string>;
    /** Name of the service. */
    readonly serviceName: pulumi.Output<string>;

    constructor(name: string, args: SwarmServiceArgs, opts?: pulumi.ComponentResourceOptions) {
        super("carbon:components:SwarmService", name, {}, opts);
        const { spec, stack, user, replicas } = args;
        this.spec = spec;
        const labels = stackLabels(stack, spec.name, user);
        const key = pulumi.all(
            args.reaches.flatMap(({ secrets }) => secrets.map(({ password }) => password)),
        );
        const secrets = handedOver(args, []).map((handed) => {
            const part = basename(handed.file).replace(/\W+/g, "-");
            const secret = new docker.Secret(
                `${name}-${part}-secret`,
                {
                    // Docker takes 64 characters, and a stack's name may have 40.
                    name: pulumi.interpolate`carbon-${stack}-${digest(key, handed)}`,
                    data: pulumi.secret(handed.content).apply((text) => Buffer.from(text).toString("base64")),
                    labels,
                },
                // Another user who deploys is no reason to make it anew.
                { parent: this, ignoreChanges: ["labels"] },
            );
            return {
                secretId: secret.id,
                secretName: secret.name,
                fileName: handed.file,
                fileUid: "0",
                fileGid: "0",
                fileMode: Number.parseInt(handed.permissions, 8),
            };
        });
        const memoryBytes = memoryLimit(spec, args.values) * mebibyte;
        const share = { nanoCpus: args.cpus * nanoCpus, memoryBytes };
        // Swarm waits for the first check that goes well, and ends a container whose checks fail: a busy one is not ill.
        const health = { ...spec.health, interval: "10s", retries: 12 };
        // Swarm has no interval of its own for the start.
        const { startInterval: _, ...checked } = healthcheck(health);
        const { capabilities } = privileges(spec);
        const service = new docker.Service(
            `${name}-service`,
            {
                name: containerName(stack, spec.name),
                labels,
                mode: { replicated: { replicas } },
                endpointSpec: { mode: "dnsrr" },
                updateConfig: {
                    parallelism: Math.ceil(replicas / 4),
                    delay: "0s",
                    failureAction: "pause",
                    monitor: "5s",
                    maxFailureRatio: "0.0",
                    // The reserved memory may be all that there is.
                    order: "stop-first",
                },
                convergeConfig: { delay: "3s", timeout: `${convergeMinutes(replicas, spec.health)}m` },
                taskSpec: {
                    containerSpec: {
                        image: args.image,
                        args: spec.command,
                        env: variables(args),
                        mounts: spec.workspaceFolder
                            ? [
                                  {
                                      type: "bind",
                                      source: args.workspaceDir,
                                      target: "/workspace",
                                      readOnly: false,
                                  },
                              ]
                            : [],
                        secrets,
                        healthcheck: checked,
                        capDrops: capabilities.drops,
                        capAdds: capabilities.adds,
                        stopGracePeriod: `${spec.stopTimeout}s`,
                    },
                    resources: { limits: share, reservation: share },
                    restartPolicy: { condition: "any", delay: "5s" },
                    placement: { constraints: args.constraints },
                    networksAdvanceds: [{ id: args.networkId }],
                    logDriver: { name: "json-file", options: boundedLog },
                },
            },
            {
                parent: this,
                dependsOn: args.reaches
                    .filter((other) => other.spec.name === spec.needs)
                    .map(({ resource }) => resource),
                // The name can be held only once.
                deleteBeforeReplace: true,
                ignoreChanges: ["labels"],
            },
        );
        this.resource = service;
        this.serviceId = service.id;
        this.serviceName = service.name;
        this.registerOutputs({ serviceId: this.serviceId, serviceName: this.serviceName });
    }
}

/**
 * Of what a secret holds, for its name: Docker changes no secret, so that another content needs another name while the old
 * one is in use. It is keyed with what nobody can guess, as names are no secret and what a file holds may be short.
 */
function digest(key: pulumi.Output<string[]>, { file, content }: HandedFile): pulumi.Output<string> {
    const named = pulumi
        .all([key, content])
        .apply(([keys, text]) =>
            createHmac("sha256", keys.join("\n")).update(`${file}\n${text}`).digest("hex").slice(0, 12),
        );
    return pulumi.unsecret(named);
}

/** A node may have to fetch the image first. */
function convergeMinutes(replicas: number, health: Reachable["spec"]["health"]): number {
    const fetch = 15;
    return fetch + Math.ceil((patienceSeconds(health) * Math.min(replicas, 4)) / 60);
}
