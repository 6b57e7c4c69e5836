import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { keysVolume } from "../catalogue";
import { stackLabels, volumeName } from "../catalogue/names";

/**
 * The volume of the keys that root keeps. The stack has one, which the services share. It stays when the stack goes
 * down, so that clients meet the same keys again.
 */
export class Keys extends pulumi.ComponentResource {
    /** Name of the Docker volume. */
    readonly volumeName: pulumi.Output<string>;

    constructor(name: string, args: { stack: string; user: string }, opts?: pulumi.ComponentResourceOptions) {
        super("carbon:components:Keys", name, {}, opts);
        const volume = new docker.Volume(
            `${name}-volume`,
            {
                name: volumeName(args.stack, keysVolume.name),
                labels: stackLabels(args.stack, keysVolume.name, args.user),
            },
            { parent: this, retainOnDelete: true, ignoreChanges: ["labels"] },
        );
        this.volumeName = volume.name;
        this.registerOutputs({ volumeName: this.volumeName });
    }
}
