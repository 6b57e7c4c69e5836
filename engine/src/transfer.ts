import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isScalar, parseDocument, visit } from "yaml";
import { z } from "zod";
import { Crypter } from "./crypto";
import { EngineError } from "./engine-error";
import { openStack, type StackLocation } from "./open-stack";
import { readProject, readStackFile } from "./pulumi-files";
import { mapping } from "./read-document";
import { stackFileFormat } from "./stack-file";
import type { ResourceState } from "./state";
import { makeUrn, nameOf, PROVIDER_PREFIX, packageOf, providerUrn, STACK_TYPE } from "./urn";
import { fromJson, type Json, type Props, toJson } from "./values";
import { writeWhole } from "./write-whole";

const names = z.array(z.string());
const text = z.string();
const carriedResource = z.strictObject({
    urn: text,
    type: text,
    custom: z.boolean().optional(),
    id: text.optional(),
    inputs: mapping,
    outputs: mapping,
    parent: text.optional(),
    provider: text.optional(),
    dependencies: names,
    propertyDependencies: z.record(text, names),
    additionalSecretOutputs: names.nullish(),
    created: text.optional(),
    modified: text.optional(),
    /** Where in a program it was made, which is nothing to another one. */
    others: mapping.optional(),
});
type CarriedResource = z.output<typeof carriedResource>;
/** Resources as they are carried from one state to another: their secrets in clear. */
export type CarriedResources = CarriedResource[];

/** What is carried from one state to another. */
export interface Carriage {
    /** Types of the resources that it is about, of one package. */
    types: readonly [string, ...string[]];
    /** What the types of the components begin with that they may be in. */
    components: string;
}

/** Of a provider that is carried: another one could be told to fetch its program from anywhere. */
const providerInputs = z.strictObject({
    version: z.string().regex(/^\d+\.\d+\.\d+$/),
    __internal: z.strictObject({}).optional(),
});

const quiet = { show: () => {} };

/**
 * The stack's resources of the given types, with what they need: components, their provider, and the stack itself,
 * whose outputs are left out.
 *
 * @returns them with their secrets in clear; none where there is no state.
 * @throws EngineError where the state cannot be read, or the passphrase does not open it.
 */
export async function exportResources(
    location: StackLocation,
    { types }: Carriage,
): Promise<CarriedResources> {
    const stack = openStack({ ...location, display: quiet }, "read");
    try {
        const all = (await stack.state).snapshot.resources().filter((resource) => resource.delete !== true);
        const wanted = new Set<string>();
        const want = (urn: string | undefined) => {
            const resource = all.find((one) => one.urn === urn);
            if (resource && !wanted.has(resource.urn)) {
                wanted.add(resource.urn);
                [resource.parent, resource.provider && providerUrn(resource.provider)].forEach(want);
            }
        };
        for (const { urn } of all.filter(({ type }) => types.includes(type))) {
            want(urn);
        }
        return all.filter(({ urn }) => wanted.has(urn)).map((resource) => carry(resource, wanted));
    } finally {
        stack.close();
    }
}

function carry(resource: ResourceState, wanted: ReadonlySet<string>): CarriedResource {
    const { urn, type, custom, id, parent, provider, additionalSecretOutputs, created, modified } = resource;
    const carried = (urns: string[]) => urns.filter((one) => wanted.has(one));
    const outputs = type === STACK_TYPE ? {} : resource.outputs;
    return {
        ...{ urn, type, custom, id, parent, provider, additionalSecretOutputs, created, modified },
        inputs: toJson(resource.inputs) as Record<string, Json>,
        outputs: toJson(outputs) as Record<string, Json>,
        dependencies: carried(resource.dependencies),
        propertyDependencies: Object.fromEntries(
            Object.entries(resource.propertyDependencies).map(([key, urns]) => [key, carried(urns)]),
        ),
    };
}

/**
 * Holds resources that come from elsewhere to what {@link exportResources} makes: an engine does what a state says, such
 * as running the command that a resource is to be deleted with.
 *
 * @param document Of a JSON text.
 * @throws EngineError naming the first that is something else.
 */
export function checkResources(
    { projectDir, stack }: Pick<StackLocation, "projectDir" | "stack">,
    document: unknown,
    carriage: Carriage,
): CarriedResources {
    const parsed = z.array(carriedResource).safeParse(document);
    if (!parsed.success) {
        const [issue] = parsed.error.issues;
        throw new EngineError(`${issue?.path.join(".") || "the whole"} is wrong (${issue?.message})`);
    }
    const { name: project } = readProject(projectDir);
    const known = new Map<string, CarriedResource>();
    return parsed.data.map((resource) => {
        const { urn, type, parent } = resource;
        const isOwn = urn === makeUrn(stack, project, parent, type, nameOf(urn));
        if (!isOwn || known.has(urn) || !isAllowed(resource, known, carriage)) {
            throw new EngineError(`${urn} of type ${type} is not among what is carried`);
        }
        known.set(urn, resource);
        return { ...resource, others: undefined, outputs: type === STACK_TYPE ? {} : resource.outputs };
    });
}

function isAllowed(
    resource: CarriedResource,
    known: ReadonlyMap<string, CarriedResource>,
    { types, components }: Carriage,
): boolean {
    const { type, custom = false, id, parent, provider, inputs, dependencies } = resource;
    const needed = [...dependencies, ...Object.values(resource.propertyDependencies).flat()];
    if (needed.some((urn) => !known.has(urn))) {
        return false;
    }
    if (type === `${PROVIDER_PREFIX}${packageOf(types[0])}`) {
        const isPlain = providerInputs.safeParse(inputs).success;
        return custom && id !== undefined && parent === undefined && provider === undefined && isPlain;
    }
    const isRoot = type === STACK_TYPE;
    const above = known.get(parent ?? "");
    if (isRoot ? parent !== undefined : !above || above.custom) {
        return false;
    }
    if (types.includes(type)) {
        const its = known.get(providerUrn(provider ?? ""));
        return custom && id !== undefined && its !== undefined && provider === `${its.urn}::${its.id}`;
    }
    return (isRoot || type.startsWith(components)) && !custom && id === undefined && provider === undefined;
}

/**
 * Puts resources into the stack's state, where one of the given types takes the place of the one that has its name. The
 * others are kept as they are where they exist.
 *
 * @param document As {@link checkResources} takes it, which it is held to.
 * @param options.locked Whether the caller holds the stack's lock.
 * @throws EngineError when something else is among them, the stack is locked, or its state cannot be read.
 */
export async function importResources(
    location: StackLocation,
    document: unknown,
    carriage: Carriage,
    { locked = false }: { locked?: boolean } = {},
): Promise<void> {
    const resources = checkResources(location, document, carriage);
    const stack = openStack({ ...location, display: quiet, locked }, "write");
    try {
        const { snapshot } = await stack.state;
        const existing = snapshot.resources();
        for (const carried of resources) {
            const old = existing.find(({ urn }) => urn === carried.urn);
            const isWanted = carriage.types.includes(carried.type) || !old;
            // A copy, as what stands first in a state is what the rest of it may depend on.
            snapshot.keep(isWanted ? uncarry(carried) : { ...old }, old);
        }
        await snapshot.save();
    } finally {
        stack.close();
    }
}

function uncarry({ others: _, ...carried }: CarriedResource): ResourceState {
    return {
        ...carried,
        additionalSecretOutputs: carried.additionalSecretOutputs ?? undefined,
        inputs: fromJson(carried.inputs as Json) as Props,
        outputs: fromJson(carried.outputs as Json) as Props,
        others: {},
    };
}

/**
 * The stack's file as it lies on disk, but with its encrypted values in clear.
 *
 * @returns undefined where the stack has none.
 * @throws EngineError where the passphrase does not open it.
 */
export async function openedStackFile({
    projectDir,
    stack,
    passphrase,
}: StackLocation): Promise<string | undefined> {
    const file = join(projectDir, `Pulumi.${stack}.yaml`);
    if (!existsSync(file)) {
        return undefined;
    }
    const { encryptionsalt } = readStackFile(projectDir, stack);
    const text = readFileSync(file, "utf8");
    if (encryptionsalt === undefined) {
        return text;
    }
    const crypter = await Crypter.open(passphrase, encryptionsalt);
    return rewritten(text, undefined, (value) => crypter.decrypt(value));
}

/**
 * Writes the stack's file, its values that are to be encrypted with this project's passphrase. It is written in one move.
 *
 * @param opened As {@link openedStackFile} has it.
 */
export async function sealStackFile(
    { projectDir, stack, passphrase }: StackLocation,
    opened: string,
): Promise<void> {
    const file = join(projectDir, `Pulumi.${stack}.yaml`);
    const isSecret = /\bsecure\b/.test(opened);
    const crypter = isSecret ? await Crypter.create(passphrase) : undefined;
    const text = crypter ? rewritten(opened, crypter.salt, (value) => crypter.encrypt(value)) : opened;
    await writeWhole(file, text);
}

/** The document with each of its `secure:` values changed, and another salt; comments and order stay. */
function rewritten(text: string, salt: string | undefined, change: (value: string) => string): string {
    const document = parseDocument(text);
    const [error] = document.errors;
    if (error) {
        throw new EngineError(`The stack's file is not valid YAML: ${error.message}`);
    }
    visit(document, {
        Map(_key, map) {
            const [pair] = map.items;
            if (map.items.length === 1 && isScalar(pair?.key) && pair.key.value === "secure") {
                if (isScalar(pair.value) && typeof pair.value.value === "string") {
                    pair.value.value = change(pair.value.value);
                }
            }
        },
    });
    if (salt === undefined) {
        document.delete("encryptionsalt");
    } else {
        document.set("encryptionsalt", salt);
    }
    return document.toString(stackFileFormat);
}
