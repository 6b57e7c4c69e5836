import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { networkName } from "../catalogue/names";

/** Arguments of {@link SuiteNetwork}. */
export interface SuiteNetworkArgs {
    stack: string;
    /** Its address range in CIDR form; Docker chooses when absent. */
    subnet?: string;
}

/** The stack's private network. Services find each other on it by their names: `postgres`, `redis`, … */
export class SuiteNetwork extends pulumi.ComponentResource {
    /** Name of the Docker network. */
    readonly networkName: pulumi.Output<string>;

    constructor(name: string, args: SuiteNetworkArgs, opts?: pulumi.ComponentResourceOptions) {
        super("carbon:components:SuiteNetwork", name, {}, opts);
        const network = new docker.Network(
            `${name}-network`,
            {
                name: networkName(args.stack),
                driver: "bridge",
                ipamConfigs: args.subnet ? [ipam(args.subnet)] : undefined,
            },
            { parent: this, deleteBeforeReplace: true },
        );
        this.networkName = network.name;
        this.registerOutputs({ networkName: this.networkName });
    }
}

/** With the gateway written out, which is the first address after the network's own: Docker's choice reads back as a difference. */
function ipam(subnet: string) {
    return { subnet, gateway: subnet.replace(/(\d+)\/.*/, (_, last) => String(Number(last) + 1)) };
}
