import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import writeFileAtomic from "write-file-atomic";
import type { Crypter } from "./crypto";
import { EngineError, messageOf } from "./errors";
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
    ignoreChanges?: string[];
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

/** The file of one stack's checkpoint. */
export function checkpointPath(stateDir: string, project: string, stack: string): string {
    return join(stateDir, ".pulumi", "stacks", project, `${stack}.json`);
}

/** A checkpoint as it lies on disk, before its secrets are opened. */
export class CheckpointFile {
    private readonly latest: JsonObject;

    constructor(readonly path: string) {
        this.latest = existsSync(path) ? readLatest(path) : {};
    }

    /** The salt line of the passphrase secrets manager; undefined in a new stack. */
    get salt(): string | undefined {
        const provider = this.latest.secrets_providers as
            | { type?: string; state?: { salt?: string } }
            | undefined;
        if (provider?.type !== undefined && provider.type !== "passphrase") {
            throw new EngineError(
                `The stack's secrets are kept by "${provider.type}"; the embedded engine knows "passphrase" only.`,
            );
        }
        return provider?.state?.salt;
    }

    resources(crypter: Crypter): ResourceState[] {
        return ((this.latest.resources as JsonObject[]) ?? [])
            .map((json) => readResource(json, crypter))
            .filter((resource) => resource.others.pendingReplacement !== true);
    }

    pending(crypter: Crypter): PendingOperation[] {
        return ((this.latest.pending_operations as JsonObject[]) ?? []).map((json) => ({
            type: json.type as PendingOperation["type"],
            resource: readResource(json.resource as JsonObject, crypter),
        }));
    }
}

function readLatest(path: string): JsonObject {
    let file: { version?: number; checkpoint?: { latest?: JsonObject } };
    try {
        file = JSON.parse(readFileSync(path, "utf8"));
    } catch (error) {
        throw new EngineError(`The stack's state ${path} cannot be read: ${messageOf(error)}`);
    }
    if (file.version !== 3) {
        throw new EngineError(
            `The stack's state ${path} has version ${file.version}; this engine reads version 3.`,
        );
    }
    return file.checkpoint?.latest ?? {};
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
    mkdirSync(dirname(path), { recursive: true });
    markBackend(path);
    await writeFileAtomic(path, JSON.stringify({ version: 3, checkpoint: { stack, latest } }), {
        mode: 0o600,
    });
}

/** `meta.yaml` tells the CLI that stacks lie in a folder per project. */
function markBackend(path: string): void {
    const meta = join(dirname(path), "..", "..", "meta.yaml");
    if (!existsSync(meta)) {
        writeFileSync(meta, "version: 1\n");
    }
}

/** The fields that a checkpoint holds as they are; the type keeps the list complete. */
type PlainField = Exclude<
    keyof ResourceState,
    "inputs" | "outputs" | "dependencies" | "propertyDependencies" | "delete" | "others"
>;
const plainFields: Record<PlainField, true> = {
    urn: true,
    custom: true,
    type: true,
    id: true,
    parent: true,
    protect: true,
    provider: true,
    additionalSecretOutputs: true,
    retainOnDelete: true,
    initErrors: true,
    ignoreChanges: true,
    replaceOnChanges: true,
    created: true,
    modified: true,
};

function readResource(json: JsonObject, crypter: Crypter): ResourceState {
    const decrypt = (ciphertext: string) => JSON.parse(crypter.decrypt(ciphertext)) as Json;
    const { inputs, outputs, dependencies, propertyDependencies, ...rest } = json;
    const isPlain = ([name]: [string, Json]) => Object.hasOwn(plainFields, name);
    const plain = Object.fromEntries(Object.entries(rest).filter(isPlain));
    const others = Object.fromEntries(Object.entries(rest).filter((field) => !isPlain(field)));
    return {
        ...(plain as unknown as ResourceState),
        inputs: fromJson(inputs ?? {}, decrypt) as Props,
        outputs: fromJson(outputs ?? {}, decrypt) as Props,
        dependencies: (dependencies as string[]) ?? [],
        propertyDependencies: (propertyDependencies as Record<string, string[]>) ?? {},
        delete: others.delete === true || undefined,
        others,
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
