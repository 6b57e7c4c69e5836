import { execa, execaSync } from "execa";

/** How long a step of apt may take. */
const patience = 900_000;

/** True where packages can be installed without a question: with apt-get, as root or through a sudo that asks nothing. */
export function canInstall(): boolean {
    return succeeds("apt-get", "--version") && (isRoot() || succeeds("sudo", "-n", "true"));
}

function isRoot(): boolean {
    return process.getuid?.() === 0;
}

/** True where the command is there and exits with 0. */
export function succeeds(command: string, ...args: string[]): boolean {
    return execaSync(command, args, { reject: false, timeout: patience }).exitCode === 0;
}

/** Runs a command as root; with `input` on its standard input. */
export async function asRoot(command: readonly string[], input = ""): Promise<void> {
    const [file = "", ...args] = isRoot() ? command : ["sudo", "-n", ...command];
    await execa(file, args, { input, timeout: patience });
}

/** Installs Debian packages without what they only recommend. */
export async function install(...packages: string[]): Promise<void> {
    console.log(`Installing for the tests: ${packages.join(", ")}`);
    const options = [
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "install",
        "--yes",
        "--no-install-recommends",
    ];
    await asRoot(["apt-get", "update"]);
    await asRoot(["env", ...options, ...packages]);
}
