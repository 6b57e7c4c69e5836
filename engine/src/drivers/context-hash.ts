import { createHash, type Hash } from "node:crypto";
import { type Dirent, existsSync, lstatSync, readdirSync, readFileSync, type Stats, statSync } from "node:fs";
import { join } from "node:path";
import dockerignore from "@balena/dockerignore";
import { EngineError, messageOf } from "../engine-error";

/**
 * The hash by which the docker-build provider decides whether to build again (provider/internal/context.go): the
 * Dockerfile's bytes, then for each file of the context, in walking order, its bytes, its path and its mode.
 * It must be the provider's to the byte, or the CLI would rebuild what this engine built.
 * @param context the context's folder.
 * @param dockerfile the Dockerfile's path.
 * @throws EngineError when a file cannot be read.
 */
export function hashBuildContext(context: string, dockerfile: string): string {
    const hash = createHash("sha256");
    const filter = readIgnoreFile(context, dockerfile);
    hash.update(readFileSync(dockerfile));
    for (const { path, stats } of walk(context, "", filter)) {
        hashFile(hash, context, path, stats);
    }
    return hash.digest("hex");
}

interface Filter {
    ignores(path: string): boolean;
    /** Whether nothing inside the ignored folder can be let in again. */
    ignoresAllOf(folder: string): boolean;
}

/** `<Dockerfile>.dockerignore` goes before the context's own `.dockerignore`. */
function readIgnoreFile(context: string, dockerfile: string): Filter {
    const file = [`${dockerfile}.dockerignore`, join(context, ".dockerignore")].find((path) =>
        existsSync(path),
    );
    if (!file) {
        return { ignores: () => false, ignoresAllOf: () => false };
    }
    const content = readFileSync(file, "utf8");
    const matcher = dockerignore().add(content);
    const openings = content
        .split(/\r?\n/)
        .filter((line) => line.startsWith("!"))
        .map((line) => `${line.slice(1).trim().replace(/^\//, "")}/`.replace(/[^/]*[*?[].*$/, ""));
    const mayReach = (folder: string) =>
        openings.some((opening) => opening.startsWith(`${folder}/`) || `${folder}/`.startsWith(opening));
    return {
        ignores: (path) => matcher.ignores(path),
        ignoresAllOf: (folder) => matcher.ignores(folder) && !mayReach(folder),
    };
}

/** Files in the order of Go's filepath.WalkDir: by name within each folder, folders where their name falls. */
function* walk(root: string, folder: string, filter: Filter): Generator<{ path: string; stats: Stats }> {
    const entries = readdirSync(join(root, folder), { withFileTypes: true }).sort(byName);
    for (const entry of entries) {
        const path = folder ? `${folder}/${entry.name}` : entry.name;
        if (entry.isDirectory()) {
            if (!filter.ignoresAllOf(path)) {
                yield* walk(root, path, filter);
            }
        } else if (!filter.ignores(path)) {
            yield { path, stats: lstatSync(join(root, path)) };
        }
    }
}

function byName(a: Dirent, b: Dirent): number {
    return Buffer.compare(Buffer.from(a.name), Buffer.from(b.name));
}

function hashFile(hash: Hash, root: string, path: string, stats: Stats): void {
    if (!stats.isFile() && !stats.isSymbolicLink()) {
        return;
    }
    const full = join(root, path);
    try {
        if (stats.isSymbolicLink() && statSync(full).isDirectory()) {
            return;
        }
        hash.update(readFileSync(full));
    } catch (error) {
        throw new EngineError(`The build context's file ${path} cannot be read: ${messageOf(error)}`);
    }
    hash.update(path);
    hash.update(goFileMode(stats));
}

/** A mode as Go's fs.FileMode prints it: `-rw-r--r--`, `Lrwxrwxrwx`, `urwxr-xr-x`. */
export function goFileMode(stats: Pick<Stats, "mode" | "isSymbolicLink">): string {
    const special = [
        [stats.isSymbolicLink(), "L"],
        [stats.mode & 0o4000, "u"],
        [stats.mode & 0o2000, "g"],
        [stats.mode & 0o1000, "t"],
    ];
    const prefix = special.map(([set, letter]) => (set ? letter : "")).join("") || "-";
    const bits = [..."rwxrwxrwx"].map((letter, i) => (stats.mode & (1 << (8 - i)) ? letter : "-")).join("");
    return prefix + bits;
}
