import * as fs from "node:fs";
import type { Settings } from "../settings/parse";

/**
 * Makes the folder that /workspace is, before Docker does: Docker would make it root's. Where this process is
 * root's itself, the folder goes to the user that the settings name. A folder that is there is left as it is.
 *
 * @returns True when it was made.
 */
export function ensureWorkspaceFolder({ workspaceDir, uid, gid }: Settings): boolean {
    if (!fs.mkdirSync(workspaceDir, { recursive: true })) {
        return false;
    }
    if (process.getuid?.() === 0) {
        fs.chownSync(workspaceDir, uid, gid);
    }
    return true;
}
