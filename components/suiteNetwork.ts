import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { gatewayOf, networkName, stackLabels } from "../catalogue/names";

/** Arguments of {@link SuiteNetwork}. */
export interface SuiteNetworkArgs {
    stack: string;
    /** Name of the user who deploys. */
    user: string;
    /** Its address range in CIDR form; Docker chooses when absent. */
    subnet?: string;
    /** There where it spans the nodes of a Swarm. `encrypted`: nobody between them can read what crosses. */
    overlay?: { encrypted: boolean };
}

/** The stack's private network. Services find each other on it by their names: `postgres`, `redis`, … */
export class SuiteNetwork extends pulumi.ComponentResource {
    /** Name of the Docker network. */
    readonly networkName: pulumi.Output<string>;
    /** Its id, by which services of a Swarm join it. */
    readonly networkId: pulumi.Output<string>;

    constructor(name: string, args: SuiteNetworkArgs, opts?: pulumi.ComponentResourceOptions) {
        super("carbon:components:SuiteNetwork", name, {}, opts);
        const { stack, user, subnet, overlay } = args;
        const network = new docker.Network(
            `${name}-network`,
            {
                name: networkName(stack),
                ...(overlay
                    ? {
                          driver: "overlay",
                          // Containers that are no services join it, too.
                          attachable: true,
                          ...(overlay.encrypted && { options: { encrypted: "true" } }),
                      }
                    : { driver: "bridge" }),
                labels: stackLabels(stack, "network", user),
                // Docker's choice of the gateway is the same, but would read back as a difference.
                ipamConfigs: subnet === undefined ? undefined : [{ subnet, gateway: gatewayOf(subnet) }],
            },
            // Docker changes no network's labels: one that has others is the stack's all the same. To the options it adds its own.
            {
                parent: this,
                deleteBeforeReplace: true,
                ignoreChanges: overlay ? ["labels", "options"] : ["labels"],
            },
        );
        this.networkName = network.name;
        this.networkId = network.id;
        this.registerOutputs({ networkName: this.networkName });
    }
}
