import { networkName } from "../../catalogue/names";
import type { Settings } from "../../settings/parse";
import { stackLabel } from "../docker";
import { type Network, parseNetworks } from "../documents";
import { run } from "../process";
import { stackFlag } from "../stackFlag";
import { type Finding, failure, ok } from "./finding";

const title = "network";

/**
 * Whether the stack's network, where there is one, is of the kind that the settings ask for. Between nodes of a Swarm it is
 * not changed: services hold it, and of its options the program looks at none, as Docker adds its own. Nothing where the
 * stack is on one machine and stays there.
 */
export async function checkNetwork(settings: Settings): Promise<Finding[]> {
    const name = networkName(settings.stack);
    const { exitCode, stdout } = await run("docker", ["network", "inspect", name]);
    const [found] = exitCode === 0 ? parseNetworks(stdout) : [];
    return found ? examineNetwork(settings, found) : [];
}

/** Whether a network is of the kind that the settings ask for. */
export function examineNetwork(settings: Settings, found: Network): Finding[] {
    const { stack, subnet } = settings;
    // One of somebody else's is told of elsewhere.
    if (found.Labels?.[stackLabel] !== stack) {
        return [];
    }
    const wanted = wantedKind(settings);
    const isOverlay = found.Driver === "overlay";
    const kind = !isOverlay ? "off" : found.Options?.encrypted === undefined ? "spark" : "network";
    const [range] = found.IPAM?.Config ?? [];
    const isMoved = isOverlay && subnet !== undefined && range?.Subnet !== subnet;
    if (kind === wanted && !isMoved) {
        return isOverlay ? [ok(title, describe(kind))] : [];
    }
    return [
        failure(
            title,
            kind === wanted
                ? `carbon:subnet is ${subnet}, and the stack runs on ${range?.Subnet}`
                : `the settings ask for ${describe(wanted)}, and the stack runs on ${describe(kind)}`,
            `Take it down first, which keeps its data and passwords: ./carbon down${stackFlag(stack)}`,
        ),
    ];
}

type Kind = "off" | Settings["clusterEncryption"];

function wantedKind({ cluster, clusterEncryption }: Settings): Kind {
    return cluster === "off" ? "off" : clusterEncryption;
}

function describe(kind: Kind): string {
    return {
        off: "a network of one machine (carbon:cluster off)",
        network: "a Swarm's encrypted network (carbon:clusterEncryption network)",
        spark: "a Swarm's network without encryption (carbon:clusterEncryption spark)",
    }[kind];
}
