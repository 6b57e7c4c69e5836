import pc from "picocolors";
import { serverName } from "../settings/server";
import type { StackOutputs, Verification } from "./documents";
import type { Changes } from "./engines/types";
import { type Fingerprints, fingerprintBlock } from "./fingerprints";
import { mainPort, portNamed } from "./login";
import { formatDuration, plural } from "./output";
import { currentServer } from "./server/reach";
import type { Session } from "./session";
import { urlTable, verificationTable } from "./tables";

const verbs: Record<string, string> = {
    create: "created",
    update: "updated",
    replace: "replaced",
    delete: "deleted",
    keep: "kept",
    same: "unchanged",
};

/** `2 created, 1 replaced, 20 unchanged`; words for none at all. */
export function describeChanges(changes: Changes): string {
    const parts = Object.entries(verbs)
        .filter(([name]) => changes[name])
        .map(([name, verb]) => `${changes[name]} ${verb}`);
    return parts.join(", ") || "nothing to do";
}

/** True when something would happen, or has. */
export function hasChanges(changes: Changes): boolean {
    return Object.entries(changes).some(([name, count]) => name !== "same" && (count ?? 0) > 0);
}

/** What a user sees at the end of `up`. */
export function upSummary(
    session: Session,
    { urls, verification }: StackOutputs,
    {
        milliseconds,
        changes,
        fingerprints,
    }: { milliseconds: number; changes?: Changes; fingerprints?: Fingerprints },
): string {
    const block = fingerprintBlock(fingerprints ?? {});
    const done = changes ? describeChanges(changes) : "done";
    return [
        ...(verification ? ["", verificationTable(verification, session.width)] : []),
        "",
        urlTable(urls, session.width),
        ...(block ? ["", block] : []),
        "",
        `Show passwords: ${pc.bold(`./carbon credentials${session.stackFlag()}`)}`,
        `${pc.green("Up")} in ${formatDuration(milliseconds)}: ${done}.`,
        ...firstStep(session, urls),
    ].join("\n");
}

/** The one address to go on with. */
function firstStep(session: Session, urls: StackOutputs["urls"]): string[] {
    const name = mainPort(urls);
    const url = name && urls[name];
    const command = pc.bold(`./carbon open${session.stackFlag()}`);
    if (!url) {
        return [];
    }
    const server = currentServer();
    if (server) {
        return [
            `These are addresses of ${serverName(server)} itself. ${pc.bold(`./carbon tunnel${session.stackFlag()}`)} brings them to this machine.`,
            `Type ${command}: it does so, and opens ${url}.`,
        ];
    }
    return portNamed(name)?.loginUrl
        ? [`Open ${pc.bold(url)}, or type ${command}: it logs in.`]
        : [`Open ${pc.bold(url)}, or type ${command}.`];
}

/** `FAIL`s of a check in one sentence. */
export function describeFailures(verification: Verification): string {
    const failed = verification.checks.filter(({ status }) => status === "FAIL").map(({ id }) => id);
    return `${plural(failed.length, "check")} failed (${failed.join(", ")}), so the deployment counts as failed`;
}
