import { hasUnknown, isObject, type Props, Secret, sameValue, Unknown, type Value } from "./values";

/** One property that differs, by its path: `["ports", 0, "external"]`. */
export interface Change {
    path: (string | number)[];
    kind: "add" | "update" | "delete";
    old?: Value;
    new?: Value;
    /** Only a new resource can have the new value. */
    replace: boolean;
}

/** What differs between two sets of properties, leaf by leaf. Nothing is marked as needing replacement. */
export function diffProps(olds: Props, news: Props, path: Change["path"] = []): Change[] {
    const keys = [...new Set([...Object.keys(olds), ...Object.keys(news)])].sort();
    return keys.flatMap((key) => diffValues(olds[key], news[key], [...path, key]));
}

function diffValues(old: Value | undefined, now: Value | undefined, path: Change["path"]): Change[] {
    if (Array.isArray(old) && Array.isArray(now)) {
        const length = Math.max(old.length, now.length);
        return Array.from({ length }, (_, i) => diffValues(old[i], now[i], [...path, i])).flat();
    }
    if (isObject(old) && isObject(now)) {
        return diffProps(old, now, path);
    }
    if (old === undefined || now === undefined) {
        const kind = old === undefined ? "add" : "delete";
        return old === now ? [] : [{ path, kind, old, new: now, replace: false }];
    }
    if (sameValue(old, now) && !hasUnknown(now)) {
        return [];
    }
    // Of a change inside a secret nothing is shown, on neither side.
    const isSecret = old instanceof Secret || now instanceof Secret;
    const [before, after] = isSecret ? [secret(old), secret(now)] : [old, now];
    return [{ path, kind: "update", old: before, new: after, replace: false }];
}

function secret(value: Value): Value {
    return value instanceof Secret || value instanceof Unknown ? value : new Secret(value);
}

/** `ports[0].external`, the way property paths are written in programs and diffs. */
export function formatPath(path: Change["path"]): string {
    return path.map((part, i) => (typeof part === "number" ? `[${part}]` : i ? `.${part}` : part)).join("");
}

/** Parses `triggers[*]` or `labels["a.b"]` into its parts; `*` stands for any. */
export function parsePath(text: string): (string | number)[] {
    const parts = text.matchAll(/\["([^"]*)"\]|\[(\d+)\]|\[(\*)\]|([^.[\]]+)/g);
    return [...parts].map(([, quoted, index, star, name]) =>
        index === undefined ? (quoted ?? star ?? name ?? "") : Number(index),
    );
}

/** Whether a change lies at, below or above the place that a pattern names. */
function touches(pattern: (string | number)[], path: Change["path"]): boolean {
    return path.every((part, i) => i >= pattern.length || pattern[i] === "*" || pattern[i] === part);
}

/** The option `replaceOnChanges`: marks the changes at the named paths as needing a new resource. */
export function applyReplaceOnChanges(changes: Change[], patterns: readonly string[]): Change[] {
    const parsed = patterns.map(parsePath);
    return changes.map((change) =>
        parsed.some((pattern) => touches(pattern, change.path)) ? { ...change, replace: true } : change,
    );
}
