import { isDeepStrictEqual } from "node:util";
import { EngineError } from "./engine-error";

/** A value that must never be shown or stored in clear. */
export class Secret {
    constructor(readonly value: Value) {}

    /** Whoever prints a value by mistake prints this. */
    toJSON(): string {
        return "[secret]";
    }
}

/** A value that only an update will tell; there is one, `UNKNOWN`. */
export class Unknown {
    toJSON(): string {
        return "[unknown]";
    }
}
export const UNKNOWN = new Unknown();

export type Value = null | boolean | number | string | Value[] | { [key: string]: Value } | Secret | Unknown;
export type Props = { [key: string]: Value };
/** JSON as it travels on the wire or lies in a checkpoint. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** The property that marks a JSON object as something else (sdk/go/common/resource/sig). */
const SIGNATURE_KEY = "4dabf18193072939515e22adb298388d";
const SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270";
/** Stands for an unknown of any type on the wire (pulumi's `UnknownStringValue`). */
const UNKNOWN_WIRE = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";
const OTHER_SIGNATURES: Record<string, string> = {
    c44067f5952c0a294b673a41bacd8c17: "an asset",
    "0def7320c3a5731c473e5ecbe6d01bc7": "an archive",
    "5cf8f73096256a8f31e491e813e4eb8e": "a resource reference",
    d0e6a833031e9bbcd3f4e8bde6ca49a4: "an output value",
};

export function isObject(value: unknown): value is { [key: string]: Value } {
    return (
        typeof value === "object" &&
        value !== null &&
        !Array.isArray(value) &&
        !(value instanceof Secret) &&
        !(value instanceof Unknown)
    );
}

/** Rebuilds a value with `fn` applied to what lies directly inside lists and maps. */
function mapInside(value: Value, fn: (inner: Value) => Value): Value {
    if (Array.isArray(value)) {
        return value.map(fn);
    }
    if (isObject(value)) {
        return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, fn(inner)]));
    }
    return value;
}

/**
 * Reads a value from the wire or, with `decrypt`, from a checkpoint.
 * @throws EngineError for assets, archives and references, which no driver takes.
 */
export function fromJson(json: Json, decrypt?: (ciphertext: string) => Json): Value {
    if (json === UNKNOWN_WIRE) {
        return UNKNOWN;
    }
    if (typeof json !== "object" || json === null) {
        return json;
    }
    if (Array.isArray(json)) {
        return json.map((item) => fromJson(item, decrypt));
    }
    const signature = json[SIGNATURE_KEY];
    if (signature === SECRET_SIGNATURE) {
        const { ciphertext } = json;
        const inner = decrypt && typeof ciphertext === "string" ? decrypt(ciphertext) : (json.value ?? null);
        return new Secret(fromJson(inner, decrypt));
    }
    if (typeof signature === "string") {
        const kind = OTHER_SIGNATURES[signature] ?? `a value of kind ${signature}`;
        throw new EngineError(`The embedded engine does not support ${kind} as a property.`);
    }
    return Object.fromEntries(Object.entries(json).map(([key, inner]) => [key, fromJson(inner, decrypt)]));
}

/** Writes a value for the wire or, with `encrypt`, for a checkpoint. */
export function toJson(value: Value, encrypt?: (plain: Json) => string): Json {
    if (value instanceof Unknown) {
        return UNKNOWN_WIRE;
    }
    if (value instanceof Secret) {
        const plain = toJson(value.value, encrypt);
        const payload: { [key: string]: Json } = encrypt ? { ciphertext: encrypt(plain) } : { value: plain };
        return { [SIGNATURE_KEY]: SECRET_SIGNATURE, ...payload };
    }
    if (Array.isArray(value)) {
        return value.map((item) => toJson(item, encrypt));
    }
    if (isObject(value)) {
        return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, toJson(inner, encrypt)]));
    }
    return value;
}

/** The same value without its secret marks: for drivers and comparison only, never for display or storage. */
export function reveal(value: Props): Props;
export function reveal(value: Value): Value;
export function reveal(value: Value): Value {
    return value instanceof Secret ? reveal(value.value) : mapInside(value, reveal);
}

/** The same value with `mask` in the place of every secret. */
export function maskSecrets(value: Value, mask: string): Value {
    return value instanceof Secret ? mask : mapInside(value, (inner) => maskSecrets(inner, mask));
}

function some(value: Value, test: (value: Value) => boolean): boolean {
    if (test(value)) {
        return true;
    }
    const inside = value instanceof Secret ? [value.value] : mapValues(value);
    return inside.some((inner) => some(inner, test));
}

function mapValues(value: Value): Value[] {
    return Array.isArray(value) ? value : isObject(value) ? Object.values(value) : [];
}

export const hasSecret = (value: Value): boolean => some(value, (v) => v instanceof Secret);
export const hasUnknown = (value: Value): boolean => some(value, (v) => v instanceof Unknown);

/**
 * Moves secret marks up to the top-level property, as the bridged providers' Check does: a set with one secret
 * field is stored as one secret.
 */
export function hoistSecrets(props: Props): Props {
    return Object.fromEntries(
        Object.entries(props).map(([key, value]) => [
            key,
            hasSecret(value) ? new Secret(reveal(value)) : value,
        ]),
    );
}

/** A copy with the named properties marked secret. */
export function markSecret(props: Props, keys: readonly string[]): Props {
    const copy = { ...props };
    for (const key of keys) {
        const value = copy[key];
        if (value !== undefined && !(value instanceof Secret)) {
            copy[key] = new Secret(value);
        }
    }
    return copy;
}

/** Equal in content; a secret equals its plain value. */
export function sameValue(a: Value, b: Value): boolean {
    return isDeepStrictEqual(reveal(a), reveal(b));
}

/** Without the bookkeeping keys (`__defaults` and the like) that providers add. */
export function withoutBookkeeping(value: Props): Props;
export function withoutBookkeeping(value: Value): Value;
export function withoutBookkeeping(value: Value): Value {
    if (value instanceof Secret) {
        return new Secret(withoutBookkeeping(value.value));
    }
    if (isObject(value)) {
        const kept = Object.entries(value).filter(([key]) => !key.startsWith("__"));
        return Object.fromEntries(kept.map(([key, inner]) => [key, withoutBookkeeping(inner)]));
    }
    return mapInside(value, withoutBookkeeping);
}
