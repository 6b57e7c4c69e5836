import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { beforeAll, describe, it } from "vitest";
import { canInstall, install, succeeds } from "../setup/packages";
import { check, files, root } from "./tool";

/** Where the linters live, and what they are: pinned, with hashes. */
const folder = join(root, ".carbon/tools/lint");
const requirements = join(root, "scripts/requirements-lint.txt");
const stamp = join(folder, ".requirements");
const isRequired = process.env.CI === "true" || process.env.REQUIRE_DOCKER === "1";

function read(file: string): string | undefined {
    return existsSync(file) ? readFileSync(file, "utf8") : undefined;
}

/** Debian's Python comes without pip and venv. */
function hasVenv(): boolean {
    return succeeds("python3", "-c", "import ensurepip, venv");
}

async function installLinters(): Promise<void> {
    if (!hasVenv()) {
        await install("python3-venv");
    }
    rmSync(folder, { recursive: true, force: true });
    await execa("python3", ["-m", "venv", folder]);
    const options = ["--quiet", "--require-hashes", "--only-binary", ":all:", "--requirement", requirements];
    await execa(join(folder, "bin/pip"), ["install", ...options]);
    writeFileSync(stamp, read(requirements) ?? "");
}

const listed = ["ls-files", "--cached", "--others", "--exclude-standard"];

const isInstalled = () => read(stamp) === read(requirements);

// Elsewhere than in CI, a machine that cannot have them is no fault of the scripts.
describe.skipIf(!isInstalled() && !isRequired && !hasVenv() && !canInstall())("linters", () => {
    beforeAll(async () => {
        if (!isInstalled()) {
            await installLinters();
        }
    }, 300_000);

    it("ShellCheck finds nothing in the shell scripts", async () => {
        const byName = await files(...listed, "*.sh");
        const shebang = "^#!(/usr)?/bin/(env )?(ba)?sh";
        const others = ["--", ".", ":!*.sh", ":!*.md", ":!*.ts"];
        const byFirstLine = await files("grep", "--untracked", "--name-only", "-E", shebang, ...others);
        const scripts = new Set([...byName, ...byFirstLine]);
        await check(join(folder, "bin/shellcheck"), "--external-sources", ...scripts);
    });

    it("hadolint finds nothing in the Dockerfiles", async () => {
        await check(join(folder, "bin/hadolint"), ...(await files(...listed, "*Dockerfile")));
    });
});
