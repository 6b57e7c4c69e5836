import { z } from "zod";
import { optional } from "../documents";

const texts = z
    .record(z.string(), z.string())
    .nullish()
    .transform((labels) => labels ?? {});
const amounts = z.object({ NanoCPUs: optional(z.number()), MemoryBytes: optional(z.number()) });
const share = optional(amounts);
/** CPUs in billionths, and bytes of memory. */
export type Share = z.infer<typeof amounts>;

/** What `docker node inspect` says of a node, as far as it is looked at. */
const node = z.object({
    ID: z.string().min(1),
    Spec: z.object({ Role: z.string(), Availability: z.string(), Labels: texts }),
    Description: z.object({
        Hostname: z.string(),
        Platform: z.object({ Architecture: z.string(), OS: z.string() }),
        Resources: share,
        Engine: z.object({ Labels: texts }),
    }),
    Status: z.object({ State: z.string(), Message: optional(z.string()) }),
});
export const nodes = z.array(node);
export type SwarmNode = z.infer<typeof node>;

/** What `docker service inspect` says of a service. */
const service = z.object({
    ID: z.string().min(1),
    Spec: z.object({
        Name: z.string(),
        Labels: texts,
        Mode: z.object({ Replicated: optional(z.object({ Replicas: optional(z.number()) })) }),
        TaskTemplate: z.object({
            ContainerSpec: optional(z.object({ Image: z.string() })),
            Resources: optional(z.object({ Limits: share, Reservations: share })),
            Placement: optional(z.object({ Constraints: optional(z.array(z.string())) })),
        }),
    }),
});
export const services = z.array(service);
export type SwarmServiceDetails = z.infer<typeof service>;

/** What `docker inspect` says of tasks, as far as it is looked at. */
export const taskDetails = z.array(
    z.object({ Spec: z.object({ Resources: optional(z.object({ Reservations: share })) }) }),
);

/** A line of `docker service ps --format json`. */
export const task = z.object({
    ID: z.string(),
    Name: z.string(),
    /** Name of its node; empty where none has room. */
    Node: z.string(),
    DesiredState: z.string(),
    /** `Running 5 minutes ago`. */
    CurrentState: z.string(),
    Error: z.string(),
});
export type SwarmTask = z.infer<typeof task>;
