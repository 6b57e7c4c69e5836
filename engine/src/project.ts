import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { checkDocument, mapping } from "./documents";
import { EngineError, messageOf } from "./errors";

/** One entry of `config:` in Pulumi.yaml. A bare value there is the value itself. */
interface ConfigType {
    type?: string;
    items?: ConfigType;
    default?: unknown;
    value?: unknown;
    secret?: boolean;
}

/** What the engine needs of a Pulumi.yaml. */
export interface Project {
    name: string;
    /** Folder of Pulumi.yaml. */
    dir: string;
    /** The program, relative to `dir`; default the folder itself. */
    main: string;
    config: Record<string, ConfigType>;
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
const stackFileSchema = z.looseObject({ config: mapping.nullish(), encryptionsalt: z.string().optional() });

/** @throws EngineError when there is no Pulumi.yaml or it is not a Node.js project. */
export function readProject(dir: string): Project {
    const raw = readYaml(join(dir, "Pulumi.yaml"), projectSchema);
    if (!raw) {
        throw new EngineError(`There is no Pulumi.yaml in ${dir}: run the command in the project's folder.`);
    }
    const runtime = typeof raw.runtime === "string" ? raw.runtime : raw.runtime?.name;
    if (raw.name === undefined || runtime !== "nodejs") {
        throw new EngineError(
            "Pulumi.yaml must have a name and the runtime nodejs; the embedded engine runs no other.",
        );
    }
    const config: Record<string, ConfigType> = {};
    for (const [key, entry] of Object.entries(raw.config ?? {})) {
        const isSchema = typeof entry === "object" && entry !== null && !Array.isArray(entry);
        config[key] = isSchema ? (entry as ConfigType) : { value: entry };
    }
    return { name: raw.name, dir, main: raw.main ?? ".", config };
}

/** An absent file is an empty one, as for `pulumi stack init`. */
export function readStackFile(dir: string, stack: string): StackFile {
    const raw = readYaml(join(dir, `Pulumi.${stack}.yaml`), stackFileSchema) ?? {};
    if (raw.environment !== undefined) {
        throw new EngineError(
            `Pulumi.${stack}.yaml uses "environment", which the embedded engine does not support.`,
        );
    }
    return { config: raw.config ?? {}, encryptionsalt: raw.encryptionsalt };
}

/**
 * Merges the stack file over the project's defaults and checks the types, with the real CLI's rules and words
 * (pkg/workspace/config.go).
 * @param decrypt opens a `secure:` value.
 * @throws EngineError for a missing or mistyped value.
 */
export function resolveConfig(
    project: Project,
    stack: string,
    file: StackFile,
    decrypt: (text: string) => string,
): StackConfig {
    const result: StackConfig = { values: {}, secretKeys: [] };
    const set = (key: string, raw: unknown, secret: boolean) => {
        result.values[key] = typeof raw === "object" ? JSON.stringify(raw) : String(raw);
        if (secret) {
            result.secretKeys.push(key);
        }
    };
    const given = new Map(Object.entries(file.config).map(([key, raw]) => [qualify(project, key), raw]));
    for (const [key, raw] of given) {
        const opened = openSecure(raw, decrypt);
        set(key, opened.value, opened.secret);
    }
    const missing: string[] = [];
    for (const name of Object.keys(project.config).sort()) {
        const entry = project.config[name] ?? {};
        const key = qualify(project, name);
        const fallback = entry.default ?? entry.value;
        if (given.has(key)) {
            checkType(stack, name, entry, openSecure(given.get(key), decrypt));
        } else if (fallback !== undefined) {
            set(key, fallback, false);
        } else if (key.startsWith(`${project.name}:`)) {
            missing.push(name);
        }
    }
    if (missing.length > 0) {
        const values = missing.length > 1 ? "values" : "value";
        const names = missing.map((name) => `'${name}'`).join(", ");
        throw new EngineError(
            `Stack '${stack}' is missing configuration ${values} ${names}: add to Pulumi.${stack}.yaml.`,
        );
    }
    return result;
}

function qualify(project: Project, key: string): string {
    return key.includes(":") ? key : `${project.name}:${key}`;
}

/** Opens `{secure: …}` at any depth. */
function openSecure(raw: unknown, decrypt: (text: string) => string): { value: unknown; secret: boolean } {
    if (typeof raw !== "object" || raw === null) {
        return { value: raw, secret: false };
    }
    const entries = Object.entries(raw);
    const [first] = entries;
    if (
        !Array.isArray(raw) &&
        entries.length === 1 &&
        first?.[0] === "secure" &&
        typeof first[1] === "string"
    ) {
        return { value: decrypt(first[1]), secret: true };
    }
    const opened = entries.map(([key, inner]) => [key, openSecure(inner, decrypt)] as const);
    const secret = opened.some(([, inner]) => inner.secret);
    const value = Array.isArray(raw)
        ? opened.map(([, inner]) => inner.value)
        : Object.fromEntries(opened.map(([key, inner]) => [key, inner.value]));
    return { value, secret };
}

function checkType(
    stack: string,
    name: string,
    entry: ConfigType,
    given: { value: unknown; secret: boolean },
): void {
    if (entry.secret && !given.secret) {
        throw new EngineError(
            `Stack '${stack}' with configuration key '${name}' must be encrypted as it's secret.`,
        );
    }
    // The stack file's plain values are strings to Pulumi, whatever YAML makes of them.
    const value = typeof given.value === "object" ? given.value : String(given.value);
    if (entry.type !== undefined && !hasType(entry, value)) {
        throw new EngineError(
            `Stack '${stack}' with configuration key '${name}' must be of type '${typeName(entry)}'.`,
        );
    }
}

function hasType(entry: ConfigType, value: unknown): boolean {
    switch (entry.type) {
        case "string":
            return typeof value === "string";
        case "boolean":
            return typeof value === "boolean" || value === "true" || value === "false";
        case "integer":
            return /^-?\d+$/.test(String(value));
        case "array":
            return Array.isArray(value) && value.every((item) => hasType(entry.items ?? {}, item));
        case "object":
            return typeof value === "object" && value !== null && !Array.isArray(value);
        default:
            return entry.type === undefined;
    }
}

function typeName(entry: ConfigType): string {
    return entry.type === "array" ? `array<${typeName(entry.items ?? {})}>` : (entry.type ?? "any");
}

function readYaml<T>(path: string, schema: z.ZodType<T>): T | undefined {
    if (!existsSync(path)) {
        return undefined;
    }
    let document: unknown;
    try {
        document = parse(readFileSync(path, "utf8"));
    } catch (error) {
        throw new EngineError(`${path} is not valid YAML: ${messageOf(error)}`);
    }
    return checkDocument(path, document ?? {}, schema);
}
