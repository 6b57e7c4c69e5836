import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { networkName } from "../catalogue/names";

/** The stack's private network. Services find each other on it by their names: `postgres`, `redis`, … */
export class SuiteNetwork extends pulumi.ComponentResource {
    /** Name of the Docker network. */
    readonly networkName: pulumi.Output<string>;

    constructor(name: string, args: { stack: string }, opts?: pulumi.ComponentResourceOptions) {
        super("carbon:components:SuiteNetwork", name, {}, opts);
        const network = new docker.Network(
            `${name}-network`,
            { name: networkName(args.stack), driver: "bridge" },
            { parent: this, deleteBeforeReplace: true },
        );
        this.networkName = network.name;
        this.registerOutputs({ networkName: this.networkName });
    }
}
