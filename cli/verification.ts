import { workspace } from "../catalogue";
import { containerName } from "../catalogue/names";
import { longestVerification, parseDocument, type Verification, verification } from "./documents";
import { exitCodes, Interrupted, UserError } from "./errors";
import { run } from "./process";

/** carbon-verify's exit code for a check that it does not know, and the like. */
const badUsage = 2;

/** What `carbon verify` looks at. */
export const targets = ["container", "host", "end-to-end"] as const;
export type Target = (typeof targets)[number];

/** Ids of the checks that the workspace runs for the target `end-to-end`: verify/checks. */
export const workspaceEndToEnd = ["gateway", "completion"];

/**
 * Runs the check in the workspace of a stack. What it says is the workspace's own word: it is held to its shape, and
 * no more than that can be known of it here.
 *
 * @param target `container` when absent.
 * @param only Ids of the checks to run, separated by commas; all of them when absent.
 * @throws UserError when it does not run, or answers with something else than its document; Interrupted at Ctrl-C.
 */
export async function runVerification(
    stack: string,
    { target, only, signal }: { target?: Target; only?: string; signal?: AbortSignal } = {},
): Promise<Verification> {
    const container = containerName(stack, workspace.name);
    const result = await run(
        "docker",
        [
            ...["exec", container, "carbon-verify", "--json"],
            ...(target && target !== "container" ? ["--target", target] : []),
            ...(only ? ["--only", only] : []),
        ],
        { maxBuffer: longestVerification, cancelSignal: signal },
    );
    if (signal?.aborted) {
        throw new Interrupted();
    }
    const source = "What the workspace's check says";
    const advice = `\`docker rm --force ${container}\` and \`./carbon up --stack ${stack}\` make the workspace anew.`;
    if (result.stdout.length >= longestVerification) {
        throw new UserError(`${source} is longer than ${longestVerification / 1e6} MB. ${advice}`);
    }
    if (!result.stdout.trim()) {
        throw new UserError(
            `The check did not run: ${result.reason}`,
            result.exitCode === badUsage ? exitCodes.usage : exitCodes.failure,
        );
    }
    return parseDocument(source, verification, result.stdout, advice);
}
