import { z } from "zod";
import { messageOf, UserError } from "./errors";

// Bounds of a check's document: a real one has some 25 checks of a few hundred characters. It comes out of the
// workspace, so that whoever has taken that over decides what it says.
/** Bytes that are read of it. */
export const longestVerification = 2_000_000;
const mostChecks = 1_000;
const longestText = 10_000;

const text = z.string().max(longestText);

/** One check of the document that `carbon-verify --json` prints. */
const check = z.object({
    id: z.string().max(100),
    status: z.enum(["PASS", "FAIL", "SKIP", "UNSUPPORTED"]),
    expected: text,
    observed: text,
    seconds: z.number().nonnegative(),
    hint: text.optional(),
});
export type Check = z.infer<typeof check>;

/** The document itself. Its summary is counted here, so that it cannot say anything else than its checks. */
export const verification = z
    .object({
        schema: z.literal(1),
        target: z.string().max(100),
        // Counted first: looking at a million of them takes long.
        checks: z.array(z.unknown()).max(mostChecks).pipe(z.array(check)),
    })
    .transform(({ schema, target, checks }) => ({ schema, target, checks, summary: summarize(checks) }));
export type Verification = z.infer<typeof verification>;

/** One document of these checks. */
export function verificationOf(target: string, checks: Check[]): Verification {
    return { schema: 1, target, checks, summary: summarize(checks) };
}

function summarize(checks: Check[]) {
    const count = (status: Check["status"]) => checks.filter((one) => one.status === status).length;
    return {
        pass: count("PASS"),
        fail: count("FAIL"),
        skip: count("SKIP"),
        unsupported: count("UNSUPPORTED"),
    };
}

/** A login as the stack output `credentials` holds it. */
const credentials = z.record(z.string(), z.record(z.string(), z.string()));
export type Credentials = z.infer<typeof credentials>;

/** Addresses by port name. */
const urls = z.record(z.string(), z.string());

/** The stack's outputs, as far as the command looks into them. */
export const stackOutputs = z.object({
    urls,
    images: z.unknown(),
    verification: verification.nullish(),
});
export type StackOutputs = z.infer<typeof stackOutputs>;

/** The stack output `images`. */
export const imageRefs = z.record(
    z.string(),
    z.object({ ref: z.string().min(1), platforms: z.array(z.string()) }),
);

/** The outputs with their secrets in clear. */
export const secretOutputs = z.object({ credentials, urls });

/** What may be absent, or null, and is undefined then. */
export const optional = <Schema extends z.ZodType>(schema: Schema) =>
    schema.nullish().transform((value) => value ?? undefined);

/** What `docker info` says, as far as the suite depends on it. */
export const dockerInfo = z.object({
    ServerVersion: optional(z.string()),
    OperatingSystem: optional(z.string()),
    Architecture: optional(z.string()),
    DockerRootDir: optional(z.string()),
    /** `name=rootless`, and others; see preflight/neighbours.ts. */
    SecurityOptions: optional(z.array(z.string())),
    /** By name, such as `nvidia`. */
    Runtimes: optional(z.record(z.string(), z.unknown())),
    NCPU: optional(z.number()),
    /** Pairs of name and value. */
    DriverStatus: optional(z.array(z.tuple([z.string(), z.string()]))),
    /** Of the Swarm that it is part of, if any; see preflight/swarm.ts. */
    Swarm: optional(
        z.object({
            LocalNodeState: optional(z.string()),
            /** True where it manages it. */
            ControlAvailable: optional(z.boolean()),
            NodeID: optional(z.string()),
        }),
    ),
    /** Memory of the machine that the engine runs on (a virtual one on a Mac), in bytes. */
    MemTotal: optional(z.number()),
    ServerErrors: optional(z.array(z.string())),
});
export type DockerInfo = z.infer<typeof dockerInfo>;

/** What `docker update` can change on a container; 0 or nothing where it has no such limit. Memory in bytes. */
const limits = z.object({
    Memory: optional(z.number()),
    MemorySwap: optional(z.number()),
    MemoryReservation: optional(z.number()),
    NanoCpus: optional(z.number()),
    CpuShares: optional(z.number()),
    CpuPeriod: optional(z.number()),
    CpuQuota: optional(z.number()),
    CpuRealtimePeriod: optional(z.number()),
    CpuRealtimeRuntime: optional(z.number()),
    CpusetCpus: optional(z.string()),
    CpusetMems: optional(z.string()),
    BlkioWeight: optional(z.number()),
    PidsLimit: optional(z.number()),
    RestartPolicy: optional(z.object({ Name: z.string() })),
});
export type ContainerLimits = z.infer<typeof limits>;

const portBinding = z.object({ HostIp: z.string(), HostPort: z.string() });

/** What `docker inspect` says of a container, as far as it is shown. */
const containerDetails = z.object({
    Id: z.string().min(1),
    Name: z.string(),
    /** When it was made (ISO 8601). */
    Created: optional(z.string()),
    HostConfig: optional(limits),
    /** How often Docker has started it again after it ended by itself. */
    RestartCount: optional(z.number()),
    State: z.object({
        Status: z.string(),
        StartedAt: optional(z.string()),
        FinishedAt: optional(z.string()),
        Health: optional(
            z.object({
                Status: z.string(),
                /** Probes that have failed one after the other until now. */
                FailingStreak: optional(z.number()),
                /** The last probes, oldest first. */
                Log: z
                    .array(z.object({ ExitCode: z.number(), Output: z.string() }))
                    .nullish()
                    .transform((log) => log ?? []),
            }),
        ),
        ExitCode: optional(z.number()),
        /** Docker's own words where it could not start the container. */
        Error: optional(z.string()),
        /** True where Linux ended its main process for want of memory. */
        OOMKilled: optional(z.boolean()),
    }),
    Config: z.object({
        Labels: z
            .record(z.string(), z.string())
            .nullish()
            .transform((labels) => labels ?? {}),
        Image: z.string(),
    }),
    /** What is mounted in it; `Name` is a volume's. */
    Mounts: z
        .array(z.object({ Name: optional(z.string()), RW: z.boolean() }))
        .nullish()
        .transform((mounts) => mounts ?? []),
    NetworkSettings: z.object({
        Ports: z
            .record(z.string(), z.array(portBinding).nullable())
            .nullish()
            .transform((ports) => ports ?? {}),
        /** By network name. */
        Networks: optional(
            z.record(z.string(), z.object({ NetworkID: z.string(), Aliases: optional(z.array(z.string())) })),
        ),
    }),
});
export const containers = z.array(containerDetails);
export type ContainerDetails = z.infer<typeof containerDetails>;

/** What `docker network inspect` says of a network, as far as it is looked at. */
const networks = z.array(
    z.object({
        Id: z.string().min(1),
        Name: z.string(),
        Created: optional(z.string()),
        Driver: optional(z.string()),
        Labels: optional(z.record(z.string(), z.string())),
        Options: optional(z.record(z.string(), z.string())),
        IPAM: optional(z.object({ Config: optional(z.array(z.object({ Subnet: optional(z.string()) }))) })),
    }),
);

export type Network = z.output<typeof networks>[number];

/**
 * Reads what `docker network inspect` has printed.
 *
 * @throws UserError where it is something else.
 */
export function parseNetworks(text: string): Network[] {
    const advice = "`docker version` shows whether `docker` on PATH is Docker's own command.";
    return parseDocument("What `docker network inspect` says", networks, text, advice);
}

/** What buildx writes down of an image that it built. */
export const buildMetadata = z.object({ "containerimage.digest": z.string() });

/**
 * Reads a document that another program wrote.
 *
 * @param source What it is and where it comes from, to begin a sentence with.
 * @param advice What to type or do where it is of another shape.
 * @throws UserError saying in one sentence what is wrong with it.
 */
export function parseDocument<Schema extends z.ZodType>(
    source: string,
    schema: Schema,
    json: string,
    advice: string,
): z.output<Schema> {
    let document: unknown;
    try {
        document = JSON.parse(json);
    } catch (error) {
        throw new UserError(`${source} is not JSON (${abridged(messageOf(error))}). ${advice}`);
    }
    return checkDocument(source, schema, document, advice);
}

/** The same for a document that has been parsed. */
export function checkDocument<Schema extends z.ZodType>(
    source: string,
    schema: Schema,
    document: unknown,
    advice: string,
): z.output<Schema> {
    const result = schema.safeParse(document);
    if (!result.success) {
        const [issue] = result.error.issues;
        const place = issue?.path.length ? `${abridged(issue.path.join("."))}: ` : "";
        throw new UserError(
            `${source} has another shape than it should (${place}${abridged(issue?.message ?? "")}). ${advice}`,
        );
    }
    return result.data;
}

/** The beginning of what a stranger may have made long. */
function abridged(text: string): string {
    return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}
