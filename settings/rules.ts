import { z } from "zod";

/** The types that Pulumi.yaml knows for configuration values. */
export type ConfigType = "string" | "integer" | "boolean" | "array" | "object";

/** What a setting accepts: for Pulumi.yaml, for users, and for the check of a value. */
export interface Rule<T = unknown> {
    type: ConfigType;
    /** Type of an array's items. */
    items?: { type: ConfigType };
    /** What is allowed, as the end of the sentence "Allowed: …". */
    allowed: string;
    schema: z.ZodType<T>;
    /** True where a value may be a secret of Pulumi's. Messages never show it. */
    secret?: true;
}

export function boolean(): Rule<boolean> {
    return { type: "boolean", allowed: "true or false", schema: z.boolean() };
}

/** A whole number, both limits included. */
export function integer({ min, max, unit }: { min: number; max: number; unit?: string }): Rule<number> {
    return {
        type: "integer",
        allowed: `a whole number ${unit ? `of ${unit} ` : ""}from ${min} to ${max}`,
        schema: z.int().min(min).max(max),
    };
}

/** A number that stays text, because Pulumi.yaml knows no type for fractions. */
export function decimal({ max }: { max: number }): Rule<string> {
    return text(
        `a number from 0 to ${max} with at most two decimals`,
        z
            .string()
            .regex(/^\d+(\.\d{1,2})?$/)
            .refine((value) => Number(value) <= max),
    );
}

/** One of some words. */
export function choice<const T extends string>(choices: readonly T[]): Rule<T> {
    return { type: "string", allowed: choices.join(", "), schema: z.enum(choices) };
}

/** A list without repetitions. */
export function listOf<T>(item: Rule<T>, { empty = true }: { empty?: boolean } = {}): Rule<T[]> {
    return {
        type: "array",
        items: { type: item.type },
        allowed: `a list of ${item.allowed}${empty ? ", none twice" : ", with at least one and none twice"}`,
        schema: z
            .array(item.schema)
            .min(empty ? 0 : 1)
            .refine((items) => new Set(items).size === items.length),
    };
}

/**
 * A value for each of some names.
 *
 * @param kind What the names are names of, such as `service`.
 */
export function mapOf<const Name extends string, T>(
    kind: string,
    names: readonly Name[],
    value: Rule<T>,
): Rule<Partial<Record<Name, T>>> {
    return {
        type: "object",
        allowed: `${value.allowed}, by ${kind}, the ${kind}s being ${names.join(", ")}`,
        schema: z.partialRecord(z.enum(names), value.schema),
    };
}

/**
 * Texts by names that are up to the user. In YAML a number or a word such as true need no quotes, but where a number
 * would come out otherwise than it was written.
 */
export function variables(): Rule<Record<string, string>> {
    const plain = z.union([z.string(), z.boolean(), z.int()]).transform(String);
    // What a stack file holds; the program gets the text itself.
    const encrypted = z.strictObject({ secure: z.string() }).transform(() => "");
    return {
        type: "object",
        allowed: "texts by name, in quotes where they are numbers with a point or long ones",
        schema: z.record(z.string(), z.union([plain, encrypted])),
        secret: true,
    };
}

/** The same rule of a value that may be a secret. */
export function secret<T>(rule: Rule<T>): Rule<T> {
    return { ...rule, secret: true };
}

/** A text that matches; `allowed` says the expression in words. */
export function pattern(expression: RegExp, allowed: string): Rule<string> {
    return text(allowed, z.string().regex(expression));
}

/** A text that a schema of its own accepts; `allowed` says the schema in words. */
export function text(allowed: string, schema: z.ZodType<string>): Rule<string> {
    return { type: "string", allowed, schema };
}
