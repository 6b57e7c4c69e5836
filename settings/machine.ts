import { execFileSync } from "node:child_process";
import {
    existsSync,
    lstatSync,
    readdirSync,
    readFileSync,
    readlinkSync,
    realpathSync,
    statSync,
} from "node:fs";
import { homedir, hostname } from "node:os";
import * as path from "node:path";
import type { Machine } from "./parse";

/** The machine that this process runs on. */
export function thisMachine(projectDir: string): Machine {
    return {
        env: process.env,
        home: homedir(),
        projectDir,
        arch: process.arch,
        hostname: () => (process.platform === "darwin" ? bonjourName() : undefined) ?? hostname(),
        readFile: (file) => (isFile(file) ? readFileSync(file, "utf8") : undefined),
        isNotFolder: (file) => existsSync(file) && !statSync(file).isDirectory(),
        sockets,
        realpath: (file) => realpath(file),
        platform: process.platform,
    };
}

/** A Mac's own name in its network. The other one, gethostname's, is what the network of the day calls it. */
function bonjourName(): string | undefined {
    try {
        return execFileSync("scutil", ["--get", "LocalHostName"], { encoding: "utf8", stdio: "pipe" }).trim();
    } catch {
        return undefined;
    }
}

function sockets(folder: string): string[] {
    try {
        const entries = readdirSync(folder).map((name) => ({ name, file: path.join(folder, name) }));
        return entries
            .filter(({ file }) => statSync(file, { throwIfNoEntry: false })?.isSocket())
            .map(({ name }) => name);
    } catch {
        // What cannot be read by whoever deploys is refused, or fails, elsewhere.
        return [];
    }
}

function isFile(file: string): boolean {
    return existsSync(file) && statSync(file).isFile();
}

/** As many links as Linux follows (MAXSYMLINKS). */
const mostLinks = 40;

/** See Machine. */
export function realpath(file: string, links = 0): string | undefined {
    try {
        return realpathSync.native(file);
    } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ELOOP" || links > mostLinks) {
            return undefined;
        }
    }
    const folder = realpath(path.dirname(file), links);
    if (folder === undefined) {
        return undefined;
    }
    const last = path.join(folder, path.basename(file));
    // A link to what does not exist yet: whoever makes the folder makes it there.
    return isLink(last) ? realpath(path.resolve(folder, readlinkSync(last)), links + 1) : last;
}

function isLink(file: string): boolean {
    return lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
}
