import type { PortSpec, ServiceSpec } from ".";
import { serviceCatalogue } from ".";

/** Where the services with several containers run: on this machine, or on every node of a Docker Swarm. */
export const clusters = ["off", "swarm"] as const;
export type Cluster = (typeof clusters)[number];

/** What keeps the traffic between the nodes secret: the network, for all that is on it, or Spark alone, for its own. */
export const clusterEncryptions = ["network", "spark"] as const;

/** The settings that say how Spark is spread over a Swarm. */
export interface ClusterChoice {
    cluster: Cluster;
    clusterEncryption: (typeof clusterEncryptions)[number];
    sparkWorkerCpus: number;
}

/** The chosen services that run on the nodes of a Swarm, each with one entry for all of its containers. */
export function swarmServices(names: readonly string[], cluster: Cluster): ServiceSpec[] {
    const ports: PortSpec[] = [];
    return cluster === "off"
        ? []
        : serviceCatalogue
              .filter(({ name, count }) => count && names.includes(name))
              // Their pages are reached through the master's.
              .map((service) => ({ ...service, ports }));
}

/** What every part of Spark must be told where it is spread over a Swarm; nothing where it is not. */
export function clusterEnvironment(
    { cluster, clusterEncryption, sparkWorkerCpus }: ClusterChoice,
    { toolset, name }: Pick<ServiceSpec, "toolset" | "name">,
): Record<string, string> {
    return cluster === "off" || (toolset !== "spark" && name !== "workspace")
        ? {}
        : {
              CARBON_SPARK_CLUSTER: clusterEncryption,
              CARBON_SPARK_WORKER_CORES: String(sparkWorkerCpus),
          };
}
