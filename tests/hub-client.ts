import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { lockedRequirements } from "./locked";
import { succeeds } from "./setup/packages";

const folder = join(__dirname, "..", ".carbon", "tools", "hub-client");
const stamp = join(folder, ".requirements");

/** The hub's client and what it needs, as the compute image has them. */
const packages = [
    ...["anyio", "certifi", "click", "filelock", "fsspec", "h11", "hf-xet", "httpcore2", "httpx2"],
    ...["huggingface-hub", "idna", "packaging", "pyyaml", "tqdm", "truststore", "typing-extensions"],
];

/** Whether Python can make an environment here: Debian's comes without what that takes. */
export function canHaveHubClient(): boolean {
    return succeeds("python3", "-c", "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))");
}

/** A Python that has the hub's client in the version and with the hashes of the compute image's locks. */
export async function hubClient(): Promise<string> {
    const requirements = lockedRequirements(packages);
    const python = join(folder, "bin", "python");
    if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== requirements) {
        rmSync(folder, { recursive: true, force: true });
        mkdirSync(folder, { recursive: true });
        const list = join(folder, "requirements.txt");
        writeFileSync(list, requirements);
        await execa("python3", ["-m", "venv", folder]);
        const options = ["--quiet", "--no-deps", "--require-hashes", "--requirement", list];
        await execa(python, ["-m", "pip", "install", ...options]);
        await execa(python, ["-m", "pip", "check"]);
        writeFileSync(stamp, requirements);
    }
    return python;
}
