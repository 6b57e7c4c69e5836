import type { Settings } from "../../settings/parse";
import { settingDefinitions } from "../../settings/schema";
import { serverName } from "../../settings/server";
import type { DockerInfo } from "../docker";
import { messageOf } from "../errors";
import { plural } from "../output";
import type { SwarmNode } from "../swarm/documents";
import { isReady, matches, nodeName, roomOf } from "../swarm/placement";
import { swarmNodes } from "../swarm/services";
import { type Finding, failure, ok, warning } from "./finding";

const title = "Docker Swarm";

/** Whether the Swarm that the settings ask for is there and has room. Nothing where they ask for none. */
export async function checkSwarm(settings: Settings, { Swarm: swarm }: DockerInfo): Promise<Finding[]> {
    if (settings.cluster === "off") {
        return [];
    }
    if (swarm?.LocalNodeState !== "active" || !swarm.ControlAvailable) {
        const where = settings.server ? `on ${serverName(settings.server)}` : "here";
        const state =
            swarm?.LocalNodeState === "active" ? "a worker of one" : (swarm?.LocalNodeState ?? "inactive");
        return [
            failure(
                title,
                `carbon:cluster is swarm, and this engine manages no Swarm (it is ${state})`,
                `Type \`docker swarm init\` ${where}, and on each other machine what it prints; or set carbon:cluster to off.`,
            ),
        ];
    }
    try {
        return examineNodes(settings, await swarmNodes(), swarm.NodeID);
    } catch (error) {
        return [failure(title, messageOf(error), "Type: docker node ls")];
    }
}

/** Whether nodes of a Swarm can run what the settings want. */
export function examineNodes(settings: Settings, nodes: readonly SwarmNode[], own?: string): Finding[] {
    const { sparkWorkers, sparkWorkerNodes, sparkWorkerCpus, sparkWorkerMemory } = settings;
    const wanted = nodes.filter((node) => matches(node, sparkWorkerNodes));
    const able = wanted.filter(isReady);
    const absent = wanted.filter((node) => !isReady(node)).map(describeAbsent);
    if (able.length === 0) {
        const why = wanted.length > 0 ? `: ${absent.join(", ")}` : "";
        return [
            failure(
                title,
                `none of its ${plural(nodes.length, "node")} may run Spark workers (carbon:sparkWorkerNodes is [${sparkWorkerNodes.join(", ")}])${why}`,
                "`docker node ls` shows the nodes; `docker node update --label-add` gives one a label.",
            ),
        ];
    }
    const room = able.reduce((sum, node) => sum + roomOf(node, sparkWorkerCpus, sparkWorkerMemory), 0);
    const share = `${sparkWorkerCpus} CPUs and ${sparkWorkerMemory} MiB`;
    const others = able.filter(({ ID }) => ID !== own);
    return [
        ok(title, `${plural(able.length, "node")} for Spark workers: ${able.map(nodeName).join(", ")}`),
        ...(room < sparkWorkers
            ? [
                  failure(
                      title,
                      `its nodes have room for ${plural(room, "Spark worker")} of ${share}, and carbon:sparkWorkers is ${sparkWorkers}`,
                      "Lower carbon:sparkWorkers, carbon:sparkWorkerCpus or carbon:sparkWorkerMemory, or add nodes.",
                  ),
              ]
            : []),
        ...(others.length > 0 && !canFetch(settings)
            ? [
                  failure(
                      title,
                      `${others.map(nodeName).join(", ")} cannot fetch the image: ${settings.imagePrefix} is on this machine alone`,
                      "Set carbon:imagePrefix to a registry that the nodes reach, and carbon:push to true.",
                  ),
              ]
            : []),
        ...(absent.length > 0
            ? [
                  warning(
                      title,
                      `not there for Spark workers: ${absent.join(", ")}`,
                      "`docker node ls` shows the nodes.",
                  ),
              ]
            : []),
    ];
}

function describeAbsent(node: SwarmNode): string {
    const { Status, Spec } = node;
    return `${nodeName(node)} (${Status.State === "ready" ? Spec.Availability : Status.State})`;
}

/** An image that is held is wherever its user has put it. */
function canFetch({ imagePrefix, images, push, heldImages }: Settings): boolean {
    const isInRegistry =
        images === "pull" || (push && imagePrefix !== settingDefinitions.imagePrefix.default);
    return heldImages.compute !== undefined || isInRegistry;
}
