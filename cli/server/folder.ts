import type { Settings } from "../../settings/parse";
import type { Server } from "../../settings/server";
import { whyNotServersFolder } from "../../settings/workspaceDir";
import { UserError } from "../errors";
import { printableLine } from "../printable";
import { quoted } from "../quoted";
import { onServer } from "./shell";

/**
 * Makes the folder that /workspace is on a server, as on one's own machine: for its owner alone, before Docker does.
 *
 * @param make False where nothing may be made.
 * @returns True when it was made.
 * @throws UserError where it leads to what must not be a workspace, where the containers' user could not write there, or
 * where it is not there and may not be made.
 */
export async function ensureServersFolder(
    server: Server,
    { workspaceDir, uid, gid }: Pick<Settings, "workspaceDir" | "uid" | "gid">,
    make = true,
): Promise<boolean> {
    if (!workspaceDir.startsWith("/")) {
        // Its home was asked for, and not told.
        throw new UserError(
            `The server ${server.host} does not say where your home is there. Set carbon:workspaceDir to an absolute path.`,
        );
    }
    const script = [
        "set -eu",
        `dir=${quoted(workspaceDir)} uid=${uid} gid=${gid}`,
        "me=$(id -u)",
        'if [ -e "$dir" ] || [ -h "$dir" ]; then',
        "    made=no",
        `elif [ ${make} = false ]; then`,
        `    echo ${quoted(`there is no ${workspaceDir} yet, and a dry run makes none: leave out --dry-run`)} >&2`,
        "    exit 1",
        'elif [ "$me" != 0 ] && [ "$me" != "$uid" ]; then',
        '    echo "you are the user $me there ($(id -g) by group), and the containers\' user is $uid: set carbon:uid to $me and carbon:gid to $(id -g)" >&2',
        "    exit 1",
        "else",
        '    mkdir -p "$(dirname "$dir")"',
        '    mkdir -m 700 "$dir"',
        '    [ "$me" != 0 ] || chown -h "$uid:$gid" "$dir"',
        "    made=yes",
        "fi",
        // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the shell's
        'printf "%s\\n%s\\n%s\\n" "${HOME:-/}" "$(cd "$dir" && pwd -P)" "$made"',
    ];
    const said = await onServer(server, `${script.join("\n")}\n`);
    const [home = "", real = "", made] = said.trimEnd().split("\n").slice(-3);
    const reason = real.startsWith("/") ? whyNotServersFolder(real, home) : "it did not say where it is";
    if (reason) {
        throw new UserError(`carbon:workspaceDir, ${workspaceDir}: ${printableLine(reason)}`);
    }
    return made === "yes";
}
