import type { Settings } from "../../settings/parse";
import { docker } from "../docker";
import type { Session } from "../session";
import { isReady, matches, nodeName, roomOf } from "./placement";
import {
    ensureServicesRun,
    isRunning,
    reservedOn,
    stackSwarmServices,
    swarmNodes,
    swarmServiceName,
    tasksOf,
} from "./services";

/**
 * Gives nodes that have come since a part of the work: Swarm itself moves no container that runs. Only where a node has
 * none, and room for one, while another has several, as each move costs what the container was computing.
 */
export async function spread(session: Session, settings: Settings): Promise<void> {
    const { sparkWorkerNodes, sparkWorkerCpus, sparkWorkerMemory } = settings;
    for (const service of await stackSwarmServices(session.stack)) {
        const able = (await swarmNodes()).filter((node) => isReady(node) && matches(node, sparkWorkerNodes));
        const places = (await tasksOf(service.ID)).filter(isRunning).map(({ Node }) => Node);
        const count = (name: string) => places.filter((place) => place === name).length;
        const isUneven = places.some((place) => count(place) > 1);
        const free = isUneven ? able.filter(({ Description }) => count(Description.Hostname) === 0) : [];
        const rooms = await Promise.all(
            free.map(async (node) =>
                roomOf(node, sparkWorkerCpus, sparkWorkerMemory, await reservedOn(node)),
            ),
        );
        const idle = free.filter((_, index) => (rooms[index] ?? 0) > 0);
        if (idle.length > 0) {
            session.output.note(
                `Spreading ${swarmServiceName(service)}: ${idle.map(nodeName).join(", ")} had nothing to do`,
            );
            await docker("service", "update", "--force", "--detach=false", "--quiet", service.Spec.Name);
            await ensureServicesRun(session);
        }
    }
}
