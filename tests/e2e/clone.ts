import { appendFileSync, cpSync, existsSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { execa } from "execa";

const project = resolve(__dirname, "../..");

/**
 * Another clone of the project, with a state and a passphrase of its own, and the packages of this one.
 *
 * @param edit A file to which a line is added, for a clone of another version.
 */
export async function makeClone(name: string, edit?: string): Promise<string> {
    const folder = join(tmpdir(), name);
    rmSync(folder, { recursive: true, force: true });
    const listed = await execa("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
        cwd: project,
    });
    for (const file of listed.stdout.split("\0").filter((file) => file && existsSync(join(project, file)))) {
        mkdirSync(dirname(join(folder, file)), { recursive: true });
        cpSync(join(project, file), join(folder, file), { verbatimSymlinks: true });
    }
    symlinkSync(join(project, "node_modules"), join(folder, "node_modules"));
    if (edit) {
        appendFileSync(join(folder, edit), "# Another version.\n");
    }
    return folder;
}
