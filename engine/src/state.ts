import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import writeFileAtomic from "write-file-atomic";
import { z } from "zod";
import { checkDocument, mapping } from "./check-document";
import type { Crypter } from "./crypto";
import { EngineError, messageOf } from "./engine-error";
import { fromJson, type Json, type Props, toJson, type Value } from "./values";

/** A resource as a checkpoint records it (sdk/go/common/apitype, ResourceV3). */
export interface ResourceState {
    urn: string;
    /** Whether a provider manages it; false for components and the stack. */
    custom: boolean;
    type: string;
    id?: string;
    inputs: Props;
    outputs: Props;
    parent?: string;
    protect?: boolean;
    dependencies: string[];
    propertyDependencies: Record<string, string[]>;
    /** `<provider URN>::<provider id>`. */
    provider?: string;
    additionalSecretOutputs?: string[];
    retainOnDelete?: boolean;
    /** Replaced already; waits for its deletion. */
    delete?: boolean;
    /** Why the resource, though created, is not as it should be; it is replaced by the next update. */
    initErrors?: string[];
    replaceOnChanges?: string[];
    created?: string;
    modified?: string;
    /** Fields that this engine neither reads nor writes, kept for the CLI. */
    others: Record<string, Json>;
}

/** Something that was going on when the checkpoint was written. */
export interface PendingOperation {
    type: "creating" | "updating" | "deleting";
    resource: ResourceState;
}

type JsonObject = { [key: string]: Json };

const names = z.array(z.string()).nullish();
const flag = z.boolean().optional();
/** What is read of a resource in a checkpoint; any other field passes through in `others`. */
const resourceSchema = z.looseObject({
    urn: z.string(),
    type: z.string(),
    custom: flag,
    id: z.string().optional(),
    inputs: mapping.nullish(),
    outputs: mapping.nullish(),
    parent: z.string().optional(),
    provider: z.string().optional(),
    protect: flag,
    retainOnDelete: flag,
    delete: flag,
    dependencies: names,
    propertyDependencies: z.record(z.string(), names).nullish(),
    additionalSecretOutputs: names,
    initErrors: names,
    replaceOnChanges: names,
    created: z.string().optional(),
    modified: z.string().optional(),
});
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
const fileSchema = z.looseObject({ version: z.number() });
const checkpointSchema = z.looseObject({ checkpoint: z.looseObject({ latest: latestSchema.nullish() }) });
type Latest = z.infer<typeof latestSchema>;

/** The file of one stack's checkpoint. */
export function checkpointPath(stateDir: string, project: string, stack: string): string {
    return join(stateDir, ".pulumi", "stacks", project, `${stack}.json`);
}

/** A checkpoint as it lies on disk, before its secrets are opened. */
export class CheckpointFile {
    private readonly latest: Latest;

    constructor(readonly path: string) {
        this.latest = existsSync(path) ? readLatest(path) : {};
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

    resources(crypter: Crypter): ResourceState[] {
        return (this.latest.resources ?? [])
            .map((json) => this.read(json as JsonObject, crypter))
            .filter((resource) => resource.others.pendingReplacement !== true);
    }

    pending(crypter: Crypter): PendingOperation[] {
        return (this.latest.pending_operations ?? []).map(({ type, resource }) => ({
            type: type as PendingOperation["type"],
            resource: this.read(resource as JsonObject, crypter),
        }));
    }

    private read(json: JsonObject, crypter: Crypter): ResourceState {
        try {
            return readResource(json, crypter);
        } catch (error) {
            throw unreadable(this.path, error);
        }
    }
}

function unreadable(path: string, error: unknown): EngineError {
    return new EngineError(`The stack's state ${path} cannot be read: ${messageOf(error)}`);
}

function readLatest(path: string): Latest {
    let file: unknown;
    try {
        file = JSON.parse(readFileSync(path, "utf8"));
    } catch (error) {
        throw unreadable(path, error);
    }
    const title = `The stack's state ${path}`;
    const { version } = checkDocument(title, file, fileSchema);
    if (version !== 3) {
        throw new EngineError(`${title} has version ${version}; this engine reads version 3.`);
    }
    return checkDocument(title, file, checkpointSchema).checkpoint.latest ?? {};
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
    privateFolder(stateDir, ".pulumi", "stacks", project);
    // `meta.yaml` tells the CLI that stacks lie in a folder per project.
    const meta = join(stateDir, ".pulumi", "meta.yaml");
    if (!existsSync(meta)) {
        writeFileSync(meta, "version: 1\n", { mode: 0o600 });
    }
    for (const file of [meta, checkpointPath(stateDir, project, stack)].filter(existsSync)) {
        narrow(file, 0o600);
    }
}

/** Writes a whole checkpoint in one move, so that a reader or a crash sees the old one or the new one. */
export async function writeCheckpoint(
    path: string,
    stack: string,
    crypter: Crypter,
    resources: ResourceState[],
    pending: PendingOperation[],
): Promise<void> {
    const known = new Set(resources.map((resource) => resource.urn));
    const latest = {
        manifest: { time: new Date().toISOString(), magic: "", version: "" },
        secrets_providers: { type: "passphrase", state: { salt: crypter.salt } },
        resources: resources.length > 0 ? resources.map((r) => writeResource(r, crypter, known)) : undefined,
        pending_operations:
            pending.length > 0
                ? pending.map(({ type, resource }) => ({
                      resource: writeResource(resource, crypter, known),
                      type,
                  }))
                : undefined,
        metadata: {},
    };
    await writeFileAtomic(path, JSON.stringify({ version: 3, checkpoint: { stack, latest } }), {
        mode: 0o600,
    });
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

function writeResource(resource: ResourceState, crypter: Crypter, known: Set<string>): JsonObject {
    const encrypt = (plain: Json) => crypter.encrypt(JSON.stringify(plain));
    const { others, inputs, outputs, dependencies, propertyDependencies, ...plain } = resource;
    // A dependency that is gone already (its deletion came first) would make the checkpoint invalid.
    const existing = (urns: string[]) => urns.filter((urn) => known.has(urn));
    const byProperty = Object.entries(propertyDependencies).map(
        ([key, urns]) => [key, existing(urns)] as const,
    );
    const json = {
        ...others,
        ...plain,
        inputs: emptyToNothing(toJson(inputs as Value, encrypt) as JsonObject),
        outputs: emptyToNothing(toJson(outputs as Value, encrypt) as JsonObject),
        dependencies: dependencies.length > 0 ? existing(dependencies) : undefined,
        propertyDependencies: byProperty.length > 0 ? Object.fromEntries(byProperty) : undefined,
    };
    return json as unknown as JsonObject;
}

function emptyToNothing(json: JsonObject): JsonObject | undefined {
    return Object.keys(json).length > 0 ? json : undefined;
}
