import { z } from "zod";

/** A file among the models, as `models.py` finds it. */
const modelFile = z.object({
    name: z.string(),
    /** `other` is a folder or a device. */
    kind: z.enum(["file", "link", "other"]),
    bytes: z.number().nonnegative(),
    /** False for what a pull has brought in part. */
    complete: z.boolean(),
    /** Bytes of the whole file, where only a part is there. */
    total: z.number().nonnegative().nullish(),
    /** Where a pull has it from; absent where it came in another way, or was changed since. */
    repo: z.string().optional(),
    file: z.string().optional(),
    hash: z.string().optional(),
});
export type ModelOnDisk = z.infer<typeof modelFile>;

/** What a pull does on the way. */
const pulling = z.object({ pulling: z.string(), done: z.number(), total: z.number() });
const progress = z.object({ progress: z.string(), done: z.number(), total: z.number() });
const verifying = z.object({ verifying: z.string() });

/** What there is, and the bytes that are free there. */
const inventory = z.object({ models: z.array(modelFile), free: z.number() });
export type Inventory = z.infer<typeof inventory>;
const pulled = z.object({
    pulled: z.array(z.object({ name: z.string(), bytes: z.number(), fresh: z.boolean() })),
});
export type Pulled = z.infer<typeof pulled>["pulled"];
const removed = z.object({ removed: z.array(z.string()) });
const failure = z.object({ error: z.string() });

/** A line that `models.py` prints. */
export const message = z.union([failure, progress, pulling, verifying, inventory, pulled, removed]);
export type Message = z.infer<typeof message>;
export type PullEvent = z.infer<typeof pulling> | z.infer<typeof progress> | z.infer<typeof verifying>;

/** What an OpenAI server says that it serves. */
export const served = z.object({ data: z.array(z.object({ id: z.string() })) });
