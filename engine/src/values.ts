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

/** An empty list or map is as good as none. */
export function unlessEmpty<T extends object>(value: T): T | undefined {
    return Object.keys(value).length > 0 ? value : undefined;
}

/** Rebuilds a value with `fn` applied to what lies directly inside lists and maps. */
function mapInside(value: Value, fn: (inner: Value) => Value): Value {
    if (Array.isArray(value)) {
        return value.map(fn);
    }
    return isObject(value) ? mapProps(value, fn) : value;
}

/** Rebuilds a map with `fn` applied to its values. */
export function mapProps(props: Props, fn: (value: Value, key: string) => Value): Props {
    return Object.fromEntries(Object.entries(props).map(([key, value]) => [key, fn(value, key)]));
}

/**
 * Reads a value from the wire or, with `decrypt`, from a checkpoint.
 * @throws EngineError for assets, archives and references, which no driver takes.
 */
export function fromJson(json: Json, decrypt?: (ciphertext: string) => Json): Value {
    if (json === UNKNOWN_WIRE) {
        return UNKNOWN;
    }
    const signature = isObject(json) && json[SIGNATURE_KEY];
    if (isObject(json) && signature === SECRET_SIGNATURE) {
        const { ciphertext, value = null } = json;
        const inner = decrypt && typeof ciphertext === "string" ? decrypt(ciphertext) : value;
        return new Secret(fromJson(inner as Json, decrypt));
    }
    if (typeof signature === "string") {
        const kind = OTHER_SIGNATURES[signature] ?? `a value of kind ${signature}`;
        throw new EngineError(`The embedded engine does not support ${kind} as a property.`);
    }
    return mapInside(json, (inner) => fromJson(inner as Json, decrypt));
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
    return mapInside(value, (inner) => toJson(inner, encrypt)) as Json;
}

/** The same value without its secret marks: for drivers and comparison only, never for display or storage. */
export function reveal(value: Props): Props;
export function reveal(value: Value): Value;
export function reveal(value: Value): Value {
    return value instanceof Secret ? reveal(value.value) : mapInside(value, reveal);
}

function some(value: Value, test: (value: Value) => boolean): boolean {
    const inside = value instanceof Secret ? [value.value] : isObject(value) ? Object.values(value) : value;
    return test(value) || (Array.isArray(inside) && inside.some((inner) => some(inner, test)));
}

export const hasSecret = (value: Value): boolean => some(value, (v) => v instanceof Secret);
export const hasUnknown = (value: Value): boolean => some(value, (v) => v instanceof Unknown);

/**
 * Moves secret marks up to the top-level property, as the bridged providers' Check does: a set with one secret
 * field is stored as one secret.
 */
export function hoistSecrets(props: Props): Props {
    return mapProps(props, (value) => (hasSecret(value) ? new Secret(reveal(value)) : value));
}

/** A copy with the named properties marked secret. */
export function markSecret(props: Props, keys: readonly string[]): Props {
    const isMarked = (value: Value, key: string) => value instanceof Secret || !keys.includes(key);
    return mapProps(props, (value, key) => (isMarked(value, key) ? value : new Secret(value)));
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
    const kept = isObject(value)
        ? Object.fromEntries(Object.entries(value).filter(([key]) => !key.startsWith("__")))
        : value;
    return mapInside(kept, withoutBookkeeping);
}
