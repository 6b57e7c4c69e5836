import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isScalar, parseDocument, visit } from "yaml";
import { z } from "zod";
import { Crypter } from "./crypto";
import { EngineError } from "./engine-error";
import { openStack, type StackLocation } from "./open-stack";
import { readStackFile } from "./pulumi-files";
import { mapping } from "./read-document";
import type { ResourceState } from "./state";
import { STACK_TYPE } from "./urn";
import { fromJson, type Json, type Props, toJson } from "./values";
import { writeWhole } from "./write-whole";

const names = z.array(z.string());
/** Resources as they are carried from one state to another: their secrets in clear. */
export const carriedResources = z.array(
    z.looseObject({
        urn: z.string(),
        type: z.string(),
        inputs: mapping,
        outputs: mapping,
        dependencies: names,
        propertyDependencies: z.record(z.string(), names),
        others: mapping,
    }),
);
export type CarriedResources = z.output<typeof carriedResources>;

const quiet = { show: () => {} };

/**
 * The stack's resources of the given types, with everything that they need: components, providers, the stack itself,
 * whose outputs are left out.
 *
 * @returns them with their secrets in clear; none where there is no state.
 * @throws EngineError where the state cannot be read, or the passphrase does not open it.
 */
export async function exportResources(
    location: StackLocation,
    types: readonly string[],
): Promise<CarriedResources> {
    const stack = openStack({ ...location, display: quiet }, "read");
    try {
        const all = (await stack.state).snapshot.resources().filter((resource) => resource.delete !== true);
        const wanted = new Set<string>();
        const want = (urn: string | undefined) => {
            const resource = all.find((one) => one.urn === urn);
            if (resource && !wanted.has(resource.urn)) {
                wanted.add(resource.urn);
                [resource.parent, resource.provider?.replace(/::[^:]*$/, "")].forEach(want);
                resource.dependencies.forEach(want);
            }
        };
        for (const { urn } of all.filter(({ type }) => types.includes(type))) {
            want(urn);
        }
        return all.filter(({ urn }) => wanted.has(urn)).map(carry);
    } finally {
        stack.close();
    }
}

function carry(resource: ResourceState): CarriedResources[number] {
    const outputs = resource.type === STACK_TYPE ? {} : resource.outputs;
    return {
        ...resource,
        inputs: toJson(resource.inputs) as Record<string, Json>,
        outputs: toJson(outputs) as Record<string, Json>,
    };
}

/**
 * Puts resources into the stack's state, where one of the given types takes the place of the one that has its name. The
 * others are kept as they are where they exist.
 *
 * @throws EngineError when the stack is locked, or its state cannot be read.
 */
export async function importResources(
    location: StackLocation,
    resources: CarriedResources,
    types: readonly string[],
): Promise<void> {
    const stack = openStack({ ...location, display: quiet }, "write");
    try {
        const { snapshot } = await stack.state;
        const existing = snapshot.resources();
        for (const carried of resources) {
            const old = existing.find(({ urn }) => urn === carried.urn);
            const isWanted = types.includes(carried.type) || !old;
            // A copy, as what stands first in a state is what the rest of it may depend on.
            snapshot.keep(isWanted ? uncarry(carried) : { ...old }, old);
        }
        await snapshot.save();
    } finally {
        stack.close();
    }
}

function uncarry(carried: CarriedResources[number]): ResourceState {
    return {
        ...(carried as unknown as ResourceState),
        inputs: fromJson(carried.inputs as Json) as Props,
        outputs: fromJson(carried.outputs as Json) as Props,
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
    return document.toString({ lineWidth: 0 });
}
