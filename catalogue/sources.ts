import { createHash } from "node:crypto";
import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import * as path from "node:path";
import dockerignore from "@balena/dockerignore";

/** The project's folder, which is the context of both builds. */
const project = path.resolve(__dirname, "..");

/**
 * SHA-256 over what an image is built from: its Dockerfile and the files that its `.dockerignore` lets in, each by its
 * path, its contents and whether it can be executed. It is the same on every machine: other bits of a file's mode
 * follow the user's umask, and times do not matter.
 *
 * @param folder Folder under dockerfiles/. Its `.dockerignore` must be a list of what is let in (`!path`), less
 * exceptions.
 */
export function sourceHash(folder: string, projectDir = project): string {
    const dockerfile = `dockerfiles/${folder}/Dockerfile`;
    const rules = readFileSync(path.join(projectDir, `${dockerfile}.dockerignore`), "utf8");
    const matcher = dockerignore().add(rules);
    const files = letIn(rules)
        .flatMap((start) => filesUnder(projectDir, start))
        .filter((file) => !matcher.ignores(file));
    const hash = createHash("sha256");
    for (const file of [...new Set([dockerfile, ...files])].sort()) {
        hash.update(`${file}\0${fingerprint(path.join(projectDir, file))}\n`);
    }
    return hash.digest("hex");
}

/** The paths that the rules let in, as far as their first wildcard. */
function letIn(rules: string): string[] {
    return rules
        .split(/\r?\n/)
        .filter((line) => line.startsWith("!"))
        .map((line) =>
            line
                .slice(1)
                .trim()
                .replace(/\/?[^/]*[*?[].*$/, ""),
        );
}

function filesUnder(projectDir: string, start: string): string[] {
    const found = lstatSync(path.join(projectDir, start), { throwIfNoEntry: false });
    if (!found?.isDirectory()) {
        return found ? [start] : [];
    }
    return readdirSync(path.join(projectDir, start)).flatMap((name) =>
        filesUnder(projectDir, path.posix.join(start, name)),
    );
}

function fingerprint(file: string): string {
    const found = lstatSync(file);
    if (found.isSymbolicLink()) {
        return `link ${readlinkSync(file)}`;
    }
    const kind = found.mode & 0o100 ? "program" : "file";
    return `${kind} ${createHash("sha256").update(readFileSync(file)).digest("hex")}`;
}
