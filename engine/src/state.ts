import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { Crypter } from "./crypto";
import { EngineError, messageOf } from "./engine-error";
import { mapping, readDocument } from "./read-document";
import { fromJson, type Json, type Props, toJson, unlessEmpty } from "./values";
import { writeWhole } from "./write-whole";

const flag = z.boolean().optional();
const text = z.string().optional();
const names = z.array(z.string()).nullish();
/** What is read of a resource in a checkpoint; any other field passes through in `others`. */
const resourceSchema = z.object({
    urn: z.string(),
    type: z.string(),
    /** Whether a provider manages it; false for components and the stack. */
    custom: flag,
    id: text,
    inputs: mapping.nullish(),
    outputs: mapping.nullish(),
    parent: text,
    /** `<provider URN>::<provider id>`. */
    provider: text,
    protect: flag,
    retainOnDelete: flag,
    /** Replaced already; waits for its deletion. */
    delete: flag,
    dependencies: names,
    propertyDependencies: z.record(z.string(), names).nullish(),
    additionalSecretOutputs: names,
    /** Why the resource, though created, is not as it should be; it is replaced by the next update. */
    initErrors: names,
    replaceOnChanges: names,
    created: text,
    modified: text,
});
type Recorded = z.infer<typeof resourceSchema>;
/** A resource as a checkpoint records it. */
export type RecordedResource = Pick<Recorded, "urn" | "type" | "id" | "inputs" | "outputs" | "delete"> & {
    pendingReplacement?: boolean;
};
const latestSchema = z.looseObject({
    secrets_providers: z
        .looseObject({
            type: z.string().optional(),
            state: z.looseObject({ salt: z.string().optional() }).nullish(),
        })
        .nullish(),
    resources: z.array(resourceSchema).nullish(),
    pending_operations: z.array(z.looseObject({ type: z.string(), resource: resourceSchema })).nullish(),
});
const checkpointSchema = z.looseObject({
    version: z.literal(3, {
        error: ({ input }) =>
            typeof input === "number" ? `it has version ${input}; this engine reads version 3` : undefined,
    }),
    checkpoint: z.looseObject({ latest: latestSchema.nullish() }),
});

/** A resource as a checkpoint records it (sdk/go/common/apitype, ResourceV3), its secrets opened. */
export interface ResourceState
    extends Omit<Recorded, "inputs" | "outputs" | "dependencies" | "propertyDependencies"> {
    inputs: Props;
    outputs: Props;
    dependencies: string[];
    propertyDependencies: Record<string, string[]>;
    /** Fields that this engine neither reads nor writes, kept for the CLI. */
    others: Record<string, Json>;
}

/** Something that was going on when the checkpoint was written. */
export interface PendingOperation {
    type: "creating" | "updating" | "deleting";
    resource: ResourceState;
}

type JsonObject = { [key: string]: Json };

/** The file of one stack's checkpoint. */
export function checkpointPath(stateDir: string, project: string, stack: string): string {
    return join(stateDir, ".pulumi", "stacks", project, `${stack}.json`);
}

/** A checkpoint as it lies on disk, before its secrets are opened. */
export class CheckpointFile {
    private readonly title: string;
    private readonly latest: z.infer<typeof latestSchema>;

    constructor(path: string) {
        this.title = `The stack's state ${path}`;
        this.latest = readDocument(path, checkpointSchema, this.title)?.checkpoint.latest ?? {};
    }

    /** The salt line of the passphrase secrets manager; undefined in a new stack. */
    get salt(): string | undefined {
        const provider = this.latest.secrets_providers;
        if (provider?.type !== undefined && provider.type !== "passphrase") {
            throw new EngineError(
                `The stack's secrets are kept by "${provider.type}"; the embedded engine knows "passphrase" only.`,
            );
        }
        return provider?.state?.salt;
    }

    /** The resources as they are recorded, with their secrets closed. */
    get recorded(): readonly RecordedResource[] {
        return this.latest.resources ?? [];
    }

    /** The resources, and the creations that an interrupted run began and never recorded, their secrets opened. */
    open(crypter: Crypter): { resources: ResourceState[]; interrupted: PendingOperation[] } {
        const read = (json: unknown) => readResource(json as JsonObject, crypter);
        const creations = (this.latest.pending_operations ?? []).filter(({ type }) => type === "creating");
        try {
            const resources = (this.latest.resources ?? []).map(read);
            return {
                resources: resources.filter(({ others }) => others.pendingReplacement !== true),
                interrupted: creations.map(({ resource }) => ({
                    type: "creating",
                    resource: read(resource),
                })),
            };
        } catch (error) {
            throw new EngineError(`${this.title} cannot be read: ${messageOf(error)}`);
        }
    }
}

/**
 * Makes the folders `inner` under the state's, one in the other. They and the state's own belong to this user alone,
 * whatever the umask, and whoever made them: the real CLI's files in them are readable for everybody.
 * @returns the innermost.
 */
export function privateFolder(stateDir: string, ...inner: string[]): string {
    let folder = stateDir;
    for (const name of ["", ...inner]) {
        folder = join(folder, name);
        mkdirSync(folder, { recursive: true, mode: 0o700 });
        narrow(folder, 0o700);
    }
    return folder;
}

function narrow(path: string, mode: number): void {
    if ((statSync(path).mode & 0o077) !== 0) {
        try {
            chmodSync(path, mode);
        } catch (error) {
            throw new EngineError(
                `Others may read ${path}, and it cannot be closed to them: ${messageOf(error)}. ` +
                    `Run "sudo chown -R $(id -u) ${path}".`,
            );
        }
    }
}

/** Makes ready what a stack's checkpoint is written to. */
export function prepareState(stateDir: string, project: string, stack: string): void {
    const folder = privateFolder(stateDir, ".pulumi", "stacks", project);
    // What a run that was killed was writing.
    const isDraft = (file: string) => file.startsWith(`${stack}.json.`) && file.endsWith(".tmp");
    for (const draft of readdirSync(folder).filter(isDraft)) {
        rmSync(join(folder, draft), { force: true });
    }
    // `meta.yaml` tells the CLI that stacks lie in a folder per project.
    const meta = join(stateDir, ".pulumi", "meta.yaml");
    if (!existsSync(meta)) {
        writeFileSync(meta, "version: 1\n", { mode: 0o600 });
    }
    const checkpoint = checkpointPath(stateDir, project, stack);
    for (const file of [meta, checkpoint, backupPath(checkpoint)].filter(existsSync)) {
        narrow(file, 0o600);
    }
}

/** Where a checkpoint is written to, and what with. */
export interface CheckpointTarget {
    path: string;
    /** Its name as the real CLI has it: `organization/<project>/<stack>`. */
    stack: string;
    crypter: Crypter;
}

/** The copy of the checkpoint before the last write, as the real CLI keeps it (pkg/backend/diy/state.go). */
export function backupPath(checkpoint: string): string {
    return `${checkpoint}.bak`;
}

/**
 * Writes a whole checkpoint in one move, so that a reader or a crash sees the old one or the new one. The old one is
 * kept beside it.
 * @throws EngineError naming the file, which is then as it was.
 */
export async function writeCheckpoint(
    { path, stack, crypter }: CheckpointTarget,
    resources: ResourceState[],
    pending: PendingOperation[],
): Promise<void> {
    const known = new Set(resources.map((resource) => resource.urn));
    const write = (resource: ResourceState) => writeResource(resource, crypter, known);
    const latest = {
        manifest: { time: new Date().toISOString(), magic: "", version: "" },
        secrets_providers: { type: "passphrase", state: { salt: crypter.salt } },
        resources: unlessEmpty(resources.map(write)),
        pending_operations: unlessEmpty(
            pending.map(({ type, resource }) => ({ resource: write(resource), type })),
        ),
        metadata: {},
    };
    try {
        if (existsSync(path)) {
            await writeWhole(backupPath(path), await readFile(path));
        }
        await writeWhole(path, JSON.stringify({ version: 3, checkpoint: { stack, latest } }));
    } catch (error) {
        throw new EngineError(
            `The stack's state ${path} cannot be written, and is as it was before: ${messageOf(error)}`,
        );
    }
}

function readResource(json: JsonObject, crypter: Crypter): ResourceState {
    const decrypt = (ciphertext: string) => JSON.parse(crypter.decrypt(ciphertext)) as Json;
    const isKnown = ([name]: [string, Json]) => Object.hasOwn(resourceSchema.shape, name);
    const known = Object.fromEntries(Object.entries(json).filter(isKnown));
    return {
        ...(known as unknown as ResourceState),
        inputs: fromJson(json.inputs ?? {}, decrypt) as Props,
        outputs: fromJson(json.outputs ?? {}, decrypt) as Props,
        dependencies: (json.dependencies as string[]) ?? [],
        propertyDependencies: (json.propertyDependencies as Record<string, string[]>) ?? {},
        others: Object.fromEntries(Object.entries(json).filter((field) => !isKnown(field))),
    };
}

function writeResource(resource: ResourceState, crypter: Crypter, known: Set<string>): object {
    const encrypt = (plain: Json) => crypter.encrypt(JSON.stringify(plain));
    const { others, inputs, outputs, dependencies, propertyDependencies, ...plain } = resource;
    // A dependency that is gone already (its deletion came first) would make the checkpoint invalid.
    const existing = (urns: string[]) => urns.filter((urn) => known.has(urn));
    const byProperty = Object.entries(propertyDependencies).map(([key, urns]) => [key, existing(urns)]);
    return {
        ...others,
        ...plain,
        inputs: unlessEmpty(toJson(inputs, encrypt) as JsonObject),
        outputs: unlessEmpty(toJson(outputs, encrypt) as JsonObject),
        dependencies: unlessEmpty(existing(dependencies)),
        propertyDependencies: unlessEmpty(Object.fromEntries(byProperty)),
    };
}
