import { keysVolume } from "./keys";
import { boundedLog } from "./limits";
import { llm } from "./llm";
import { mongodb } from "./mongodb";
import { mosquitto } from "./mosquitto";
import { ollama } from "./ollama";
import { leastPatience, patienceSeconds } from "./patience";
import { postgres } from "./postgres";
import { qdrant } from "./qdrant";
import { redis } from "./redis";
import { sparkMaster } from "./spark-master";
import { sparkWorker } from "./spark-worker";
import type { SecretSpec, ServiceSpec, VolumeSpec } from "./types";
import { workspace } from "./workspace";

export type {
    FileSpec,
    HealthSpec,
    PortSpec,
    ReferredSettings,
    SecretSpec,
    ServiceLimits,
    ServiceSpec,
    VolumeSpec,
} from "./types";
export { boundedLog, keysVolume, leastPatience, patienceSeconds, workspace };

/** The services that the setting `services` chooses from. */
export const serviceCatalogue: readonly ServiceSpec[] = [
    postgres,
    redis,
    mosquitto,
    mongodb,
    qdrant,
    ollama,
    sparkMaster,
    sparkWorker,
    llm,
];

/** Those of them that run from the compute image. */
export const computeServices = serviceCatalogue.filter(({ image }) => image === "compute");

/** Those of them that run from official images. */
export const officialServices = serviceCatalogue.filter(({ image }) => typeof image === "object");

/** Everything that the suite can run: the workspace and the catalogue. */
export const everyService: readonly ServiceSpec[] = [workspace, ...serviceCatalogue];

/** Every named volume that a stack can have. */
export const everyVolume: readonly VolumeSpec[] = [
    ...everyService.flatMap(({ volumes }) => volumes),
    keysVolume,
];

/** A service's name in the catalogue, which is `spark-worker` for its container `spark-worker-2`. */
export function catalogueName(service: string): string {
    return service.replace(/-\d+$/, "");
}

/** Whether programs of the user's run in it. */
export function runsUserCode({ image }: Pick<ServiceSpec, "image">): boolean {
    return image === "suite" || image === "compute";
}

/** What decides whether a port or a secret of a service exists. */
export interface Choice {
    compute: boolean;
    toolsets: readonly string[];
    tls: boolean;
}

/** True when a part of a service is there under the given choice. */
export function isIncluded(part: Pick<SecretSpec, "toolset" | "compute" | "tls">, choice: Choice): boolean {
    return (
        (!part.compute || choice.compute) &&
        (!part.toolset || choice.toolsets.includes(part.toolset)) &&
        (!part.tls || choice.tls)
    );
}
