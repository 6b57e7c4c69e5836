import { lines } from "./docker";
import { Interrupted, UserError } from "./errors";
import { run } from "./process";

/** Folders that hold what the image is made of. */
const systemFolders = ["/bin", "/boot", "/etc", "/lib", "/lib32", "/lib64", "/opt", "/sbin", "/usr"];

/** What the start-up scripts write there themselves, from the settings and the secrets. */
const ownFiles = [
    "/etc/chromium/policies",
    "/etc/environment",
    "/etc/firefox/policies/policies.json",
    "/etc/group",
    "/etc/gshadow",
    "/etc/localtime",
    "/etc/passwd",
    "/etc/shadow",
    "/etc/ssl/certs",
    "/etc/timezone",
    "/etc/xrdp/rsakeys.ini",
    "/usr/local/share/ca-certificates",
];

/** System files of a container that are not as its image has them. */
export interface SystemFiles {
    changed: number;
    /** The first five of them. */
    first: string[];
}

/**
 * Compares a container's system folders with its image, as the engine sees them: no program in the container is asked.
 * With containerd's store it goes by size and modification time (tried with 26.1: a file that was replaced by another of
 * the same size and time is not listed), and volumes are not among it.
 *
 * @throws UserError when the engine cannot say; Interrupted at Ctrl-C.
 */
export async function systemFiles(container: string, signal?: AbortSignal): Promise<SystemFiles> {
    const diff = await run("docker", ["diff", container], { cancelSignal: signal });
    if (signal?.aborted) {
        throw new Interrupted();
    }
    if (diff.exitCode !== 0) {
        throw new UserError(`docker diff failed: ${diff.reason}`);
    }
    const changed = changedSystemFiles(diff.stdout);
    return { changed: changed.length, first: changed.slice(0, 5) };
}

/** The system files among the lines of `docker diff` (`C /etc/group`). */
export function changedSystemFiles(diff: string): string[] {
    const all = lines(diff).map((line) => ({ added: line.startsWith("A"), path: line.slice(2) }));
    // A folder is listed as changed because something in it is.
    const folders = new Set(all.flatMap(({ path }) => parents(path)));
    return all
        .filter(({ path }) => systemFolders.some((folder) => isWithin(path, folder)))
        .filter(({ path }) => !ownFiles.some((own) => isWithin(path, own)))
        .filter(({ path, added }) => added || !folders.has(path))
        .map(({ path }) => path);
}

function isWithin(path: string, folder: string): boolean {
    return path === folder || path.startsWith(`${folder}/`);
}

function parents(path: string): string[] {
    const parts = path.split("/").slice(1, -1);
    return parts.map((_, index) => `/${parts.slice(0, index + 1).join("/")}`);
}
