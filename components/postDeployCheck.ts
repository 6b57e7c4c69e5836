import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";

/** Arguments of {@link PostDeployCheck}. */
export interface PostDeployCheckArgs {
    /** Container to check from. */
    containerName: pulumi.Input<string>;
    /** A change of any of these runs the check again: ids of the containers, references of the images. */
    triggers: pulumi.Input<string>[];
    /** `strict`: a failed check fails the deployment; `report`: it only stands in the document. */
    mode: "strict" | "report";
}

/** Folder with the check's source, from the project's folder. */
const source = "verify";

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
                triggers: [...args.triggers, sourceHash()],
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

/** SHA-256 over the names and contents of the check's Python files. */
function sourceHash(): string {
    const hash = createHash("sha256");
    for (const file of pythonFiles(source)) {
        hash.update(file).update("\0").update(fs.readFileSync(file)).update("\0");
    }
    return hash.digest("hex");
}

function pythonFiles(folder: string): string[] {
    return fs
        .readdirSync(folder, { withFileTypes: true })
        .flatMap((entry) => {
            const file = path.posix.join(folder, entry.name);
            return entry.isDirectory() ? pythonFiles(file) : entry.name.endsWith(".py") ? [file] : [];
        })
        .sort();
}
