import pc from "picocolors";
import { plural } from "../output";
import { printableLine } from "../printable";
import { renderTable } from "../tables";
import { nodeName } from "./placement";
import { isRunning, replicasOf, stackSwarmServices, swarmNodes, swarmServiceName, tasksOf } from "./services";

/** How a stack's services are spread over the nodes of a Swarm. */
export interface ClusterStatus {
    services: { service: string; replicas: number; running: number }[];
    nodes: {
        name: string;
        role: string;
        /** `ready`, `down`, … */
        state: string;
        /** `active`, `pause` or `drain`. */
        availability: string;
        /** Containers of the stack's services that run there. */
        containers: number;
    }[];
    /** What Docker says of containers that do not run. */
    troubles: string[];
}

/** Undefined where the stack has no service in a Swarm. */
export async function clusterStatus(stack: string): Promise<ClusterStatus | undefined> {
    const services = await stackSwarmServices(stack);
    if (services.length === 0) {
        return undefined;
    }
    const [nodes, ...tasks] = await Promise.all([swarmNodes(), ...services.map(({ ID }) => tasksOf(ID))]);
    const running = tasks.flat().filter(isRunning);
    return {
        services: services.map((service, index) => ({
            service: swarmServiceName(service),
            replicas: replicasOf(service),
            running: (tasks[index] ?? []).filter(isRunning).length,
        })),
        nodes: nodes.map((node) => ({
            name: nodeName(node),
            role: node.Spec.Role,
            state: node.Status.State,
            availability: node.Spec.Availability,
            containers: running.filter(({ Node }) => Node === node.Description.Hostname).length,
        })),
        troubles: [
            ...new Set(
                tasks
                    .flat()
                    .filter((task) => !isRunning(task) && task.Error)
                    .map((task) => printableLine(task.Error)),
            ),
        ],
    };
}

/** Whether every container runs that is to. A stack without a Swarm is well. */
export function isClusterWell(cluster: ClusterStatus | undefined): boolean {
    return (cluster?.services ?? []).every(({ replicas, running }) => running >= replicas && replicas > 0);
}

/** The nodes as a table, and below it what does not run. */
export function describeCluster({ services, nodes, troubles }: ClusterStatus, width?: number): string[] {
    const rows = nodes.map(({ name, role, state, availability, containers }) => {
        const colour = state === "ready" && availability === "active" ? pc.green : pc.yellow;
        return [name, role, { text: state, colour }, { text: availability, colour }, String(containers)];
    });
    return [
        "",
        renderTable(["Node", "Role", "State", "Availability", "Workers"], rows, width),
        ...services.map(({ service, replicas, running }) => {
            const colour = running >= replicas && replicas > 0 ? pc.green : pc.red;
            const stopped = replicas === 0 ? ", it is stopped" : "";
            return `\n${service}: ${colour(`${running} of ${plural(replicas, "container")} run`)}${stopped}`;
        }),
        ...troubles.map((trouble) => `${pc.yellow("!")} ${trouble}`),
    ];
}
