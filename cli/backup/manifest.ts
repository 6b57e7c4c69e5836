import { z } from "zod";

/** Version of a backup's format; a file of a higher one is refused. */
export const backupSchema = 1;

/** Names of the parts that are documents and no volumes. */
export const settingsPart = "settings";
export const passwordsPart = "passwords";

const partName = z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/);

/** A part of a backup. */
const part = z.object({
    name: partName,
    /** `volume`: a tar of what the stack's volume of this name holds, compressed by zstd. `document`: a text. */
    kind: z.enum(["volume", "document"]),
    /** The service whose volume it is, in the catalogue's words. */
    service: z.string().optional(),
    /** Bytes that it takes on disk, more or less; 0 for documents. */
    bytes: z.number().nonnegative(),
    /** How it was taken: by the service's own means, from a paused container, or from a volume that nothing wrote to. */
    taken: z.enum(["online", "paused", "as it lay"]).optional(),
});
export type Part = z.output<typeof part>;

/** What a backup says of itself, before everything else. */
export const manifest = z.object({
    schema: z.literal(backupSchema),
    stack: z.string(),
    /** When it was begun (ISO 8601). */
    created: z.iso.datetime(),
    versions: z.object({
        suite: z.string(),
        /** Of the machine that Docker ran on, such as `x86_64`. */
        architecture: z.string().optional(),
        /** Major version of PostgreSQL's data. */
        postgres: z.string().optional(),
        /** The stack's output `images`: reference, digest and platforms of each. */
        images: z.unknown().optional(),
        /** Image of each service's container. */
        containers: z.record(z.string(), z.string()),
    }),
    parts: z.array(part).max(1000),
});
export type Manifest = z.output<typeof manifest>;

/** What was written of each part, by its name: sums over its bytes as they lie in the file. */
export const checksums = z.record(
    z.string(),
    z.object({ bytes: z.number().nonnegative(), sha256: z.string().regex(/^[0-9a-f]{64}$/) }),
);
export type Checksums = z.output<typeof checksums>;
