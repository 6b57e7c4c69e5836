import * as fs from "node:fs";
import type { Settings } from "../../settings/parse";
import { quoted } from "../quoted";
import { type Finding, ok, warning } from "./finding";

const others = 0o077;

/**
 * Whether other users of a Linux machine are kept out of the folder that /workspace is: a container's root can leave
 * programs there that run with its rights, set-uid. On a Mac the files of a container are the user's own.
 */
export function checkWorkspaceFolder(
    { workspaceDir, server }: Pick<Settings, "workspaceDir" | "server">,
    platform: NodeJS.Platform = process.platform,
): Finding | undefined {
    const title = "workspace folder";
    if (server) {
        return undefined;
    }
    const mode = fs.statSync(workspaceDir, { throwIfNoEntry: false })?.mode;
    if (platform !== "linux") {
        return undefined;
    }
    if (mode === undefined) {
        return ok(title, `${workspaceDir} will be made`);
    }
    return mode & others
        ? warning(
              title,
              `${workspaceDir} is open to other users of this machine (mode ${(mode & 0o777).toString(8)}); they can run what a container's root leaves there set-uid`,
              `Type: chmod 700 ${quoted(workspaceDir)}`,
          )
        : ok(title, `${workspaceDir}, its owner's alone`);
}
