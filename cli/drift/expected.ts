import { resourceName } from "@carbon/engine";
import { z } from "zod";
import type { StateResource } from "../engines/types";

const labels = z.array(z.object({ label: z.string(), value: z.string() }));
const container = z.object({
    name: z.string(),
    memory: z.number().optional(),
    memorySwap: z.number().optional(),
    restart: z.string().optional(),
    cpus: z.string().optional(),
    networksAdvanced: z
        .array(z.object({ name: z.string(), aliases: z.array(z.string()).optional() }))
        .default([]),
    labels,
});
const share = z.object({ nanoCpus: z.number(), memoryBytes: z.number() });
/** One of a Swarm. */
const service = z.object({
    name: z.string(),
    mode: z.object({ replicated: z.object({ replicas: z.number() }) }),
    taskSpec: z.object({
        containerSpec: z.object({ image: z.string() }),
        resources: z.object({ limits: share, reservation: share }),
        placement: z.object({ constraints: z.array(z.string()).default([]) }),
    }),
});
const secret = z.object({ name: z.string() });
const network = z.object({ name: z.string() });
const volume = z.object({ name: z.string() });
const image = z.object({
    tags: z.array(z.string()).min(1),
    labels: z.record(z.string(), z.string()),
    exports: z.array(z.object({ image: z.object({ push: z.boolean().optional() }) })).min(1),
});

const pull = z.object({ name: z.string() });

/** A thing that the stack's state has, with what Docker calls it. */
type Recorded<Schema extends z.ZodType> = z.output<Schema> & { id: string; resource: string };

/** What the stack was deployed as, as its state says: memory in MiB, `cpus` as a decimal text. */
export interface Expected {
    containers: Recorded<typeof container>[];
    networks: Recorded<typeof network>[];
    /** Services of a Swarm: CPUs in billionths, memory in bytes. */
    services: Recorded<typeof service>[];
    /** Secrets of a Swarm. */
    secrets: Recorded<typeof secret>[];
    volumes: Recorded<typeof volume>[];
    /** Images that were built here and not for a registry. */
    images: Recorded<typeof image>[];
    /** Images that were pulled, by their digests. */
    pulls: Recorded<typeof pull>[];
    /** False where the state knows neither containers nor passwords of the stack: it was lost, or never was. */
    isKnown: boolean;
}

/** Reads the resources of a state. What has another shape than the program gives it is the engine's affair. */
export function expectedOf(resources: readonly StateResource[]): Expected {
    const present = resources.filter((one) => !one.delete && !one.pendingReplacement);
    const read = <Schema extends z.ZodType>(type: string, schema: Schema): Recorded<Schema>[] =>
        present
            .filter((one) => one.type === type)
            .flatMap(({ id = "", urn, inputs }) => {
                const parsed = schema.safeParse(inputs);
                const resource = resourceName(urn);
                return parsed.success
                    ? [{ ...(parsed.data as object), id, resource } as Recorded<Schema>]
                    : [];
            });
    return {
        containers: read("docker:index/container:Container", container),
        networks: read("docker:index/network:Network", network),
        services: read("docker:index/service:Service", service),
        secrets: read("docker:index/secret:Secret", secret),
        volumes: read("docker:index/volume:Volume", volume),
        images: read("docker-build:index:Image", image).filter(
            ({ exports }) => !exports.some(({ image: { push } }) => push),
        ),
        pulls: read("docker:index/remoteImage:RemoteImage", pull),
        isKnown: resources.some(({ type }) => /:(RandomPassword|Container)$/.test(type)),
    };
}
