import { join } from "node:path";
import { z } from "zod";
import { EngineError } from "./engine-error";
import { mapping, readDocument } from "./read-document";

/** What the engine needs of a Pulumi.yaml. */
export interface Project {
    name: string;
    /** Folder of Pulumi.yaml. */
    dir: string;
    /** The program, relative to `dir`; default the folder itself. */
    main: string;
    /** Default values of configuration keys, as the schema under `config:` gives them. */
    defaults: Record<string, unknown>;
}

/** A stack's configuration as the program receives it: every value a string, objects as JSON. */
export interface StackConfig {
    values: Record<string, string>;
    /** The keys of `values` that are secret. */
    secretKeys: string[];
}

/** A Pulumi.<stack>.yaml. */
export interface StackFile {
    config: Record<string, unknown>;
    /** The salt line of the passphrase secrets manager, where the file has one. */
    encryptionsalt?: string;
}

const projectSchema = z.looseObject({
    name: z.string().optional(),
    runtime: z.union([z.string(), z.looseObject({ name: z.string().optional() })]).nullish(),
    main: z.string().optional(),
    config: mapping.nullish(),
});
const entrySchema = z.looseObject({ default: z.unknown().optional(), value: z.unknown().optional() });
/** An encrypted value. */
const secureSchema = z.strictObject({ secure: z.string() });
const stackFileSchema = z.looseObject({ config: mapping.nullish(), encryptionsalt: z.string().optional() });

/** @throws EngineError when there is no Pulumi.yaml or it is not a Node.js project. */
export function readProject(dir: string): Project {
    const raw = readDocument(join(dir, "Pulumi.yaml"), projectSchema);
    if (!raw) {
        throw new EngineError(`There is no Pulumi.yaml in ${dir}: run the command in the project's folder.`);
    }
    const runtime = typeof raw.runtime === "string" ? raw.runtime : raw.runtime?.name;
    if (raw.name === undefined || runtime !== "nodejs") {
        throw new EngineError(
            "Pulumi.yaml must have a name and the runtime nodejs; the embedded engine runs no other.",
        );
    }
    return { name: raw.name, dir, main: raw.main ?? ".", defaults: defaultsOf(raw.config ?? {}) };
}

/** A bare value in the schema is the value itself. */
function defaultsOf(schema: Record<string, unknown>): Record<string, unknown> {
    const found = Object.entries(schema).map(([key, entry]) => {
        const parsed = entrySchema.safeParse(entry);
        return [key, parsed.success ? (parsed.data.default ?? parsed.data.value) : entry];
    });
    return Object.fromEntries(found.filter(([, value]) => value !== undefined));
}

/** An absent file is an empty one. */
export function readStackFile(dir: string, stack: string): StackFile {
    const raw = readDocument(join(dir, `Pulumi.${stack}.yaml`), stackFileSchema) ?? {};
    if (raw.environment !== undefined) {
        throw new EngineError(
            `Pulumi.${stack}.yaml uses "environment", which the embedded engine does not support.`,
        );
    }
    return { config: raw.config ?? {}, encryptionsalt: raw.encryptionsalt };
}

/**
 * Merges the stack file over the project's defaults, as the real CLI does (pkg/workspace/config.go). Types are the
 * business of the program, which decodes the values.
 * @param decrypt opens a `secure:` value.
 */
export function resolveConfig(
    project: Project,
    file: StackFile,
    decrypt: (text: string) => string,
): StackConfig {
    const result: StackConfig = { values: {}, secretKeys: [] };
    for (const [name, raw] of [...Object.entries(project.defaults), ...Object.entries(file.config)]) {
        const key = name.includes(":") ? name : `${project.name}:${name}`;
        const { value, secret } = openSecure(raw, decrypt);
        result.values[key] = typeof value === "object" ? JSON.stringify(value) : String(value);
        if (secret) {
            result.secretKeys.push(key);
        }
    }
    return result;
}

/** Opens `{secure: …}` at any depth. */
function openSecure(raw: unknown, decrypt: (text: string) => string): { value: unknown; secret: boolean } {
    let secret = false;
    const value: unknown = JSON.parse(JSON.stringify(raw), (_key, inner) => {
        const found = secureSchema.safeParse(inner);
        secret ||= found.success;
        return found.success ? decrypt(found.data.secure) : inner;
    });
    return { value, secret };
}
