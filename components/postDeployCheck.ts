import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";

/** Arguments of {@link PostDeployCheck}. */
export interface PostDeployCheckArgs {
    /** Container to check from. */
    containerName: pulumi.Input<string>;
    /** A change of any of these runs the check again: the containers' ids. */
    triggers: pulumi.Input<string>[];
    /** `strict`: a failed check fails the deployment; `report`: it only stands in the document. */
    mode: "strict" | "report";
    /** Variables that have `docker` go where the stack lives; undefined where the user's own do. */
    dockerEnvironment?: Record<string, string>;
}

/** Runs `carbon-verify` in the workspace after every change, so that what `up` reports is what is really there. */
export class PostDeployCheck extends pulumi.ComponentResource {
    /** The check's JSON document. */
    readonly document: pulumi.Output<unknown>;

    constructor(name: string, args: PostDeployCheckArgs, opts?: pulumi.ComponentResourceOptions) {
        super("carbon:components:PostDeployCheck", name, {}, opts);
        // Exit code 1 says that a check failed, anything above that the check itself did not run.
        const tolerate = args.mode === "report" ? " || [ $? -eq 1 ]" : "";
        const check = new command.local.Command(
            `${name}-command`,
            {
                create: pulumi.interpolate`docker exec ${args.containerName} carbon-verify --json${tolerate}`,
                environment: args.dockerEnvironment,
                triggers: args.triggers,
                // The document is a stack output; echoing it as well would bury the rest of the log.
                logging: "none",
            },
            { parent: this, dependsOn: opts?.dependsOn },
        );
        this.document = check.stdout.apply(parse);
        this.registerOutputs({ document: this.document });
    }
}

/** Whoever is root in the workspace decides what it says: of another kind, it is an error and no crash. */
function parse(stdout: string): unknown {
    try {
        return JSON.parse(stdout);
    } catch {
        throw new pulumi.RunError(
            "The check in the workspace did not answer with JSON. Type: ./carbon verify",
        );
    }
}
