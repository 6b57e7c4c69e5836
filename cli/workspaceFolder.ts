import * as fs from "node:fs";
import * as path from "node:path";
import { realpath } from "../settings/machine";
import type { Settings } from "../settings/parse";
import { ensureServersFolder } from "./server/folder";

/** The owner's alone: what a container's root leaves there set-uid, other users of this machine cannot run. */
const ownersAlone = 0o700;

/**
 * Makes the folder that /workspace is, before Docker does: Docker would make it root's, and open to all. Where this
 * process is root's itself, the folder goes to the user that the settings name. A folder that is there is left as it
 * is, and so are the folders above it that are missing: those have the usual mode.
 *
 * @returns True when it was made.
 */
export async function ensureWorkspaceFolder(settings: Settings): Promise<boolean> {
    const { workspaceDir, uid, gid, server } = settings;
    if (server) {
        return ensureServersFolder(server, settings);
    }
    if (fs.existsSync(workspaceDir)) {
        return false;
    }
    // Where a link leads to that has no folder yet, it is made.
    const folder = realpath(workspaceDir) ?? workspaceDir;
    fs.mkdirSync(path.dirname(folder), { recursive: true });
    fs.mkdirSync(folder, { mode: ownersAlone });
    if (process.getuid?.() === 0) {
        fs.lchownSync(folder, uid, gid);
    }
    return true;
}
