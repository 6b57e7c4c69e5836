import { existsSync, readFileSync } from "node:fs";
import { arch } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { asRoot, canInstall, install } from "./packages";

/** The platform that this machine is not, and QEMU's name for its processor. */
const [platform, processor] = arch() === "arm64" ? ["linux/amd64", "x86_64"] : ["linux/arm64", "aarch64"];
const binfmt = "/proc/sys/fs/binfmt_misc";
const handler = join(binfmt, `qemu-${processor}`);
const registration = `/usr/lib/binfmt.d/qemu-${processor}.conf`;

/**
 * Lets this machine run the other platform's programs, and adds that platform to the root image. Docker Desktop brings
 * an emulation of its own.
 *
 * @throws Error where that takes what only its owner can do.
 */
export default async function provideEmulation(): Promise<void> {
    if (process.platform !== "darwin" && !canEmulate()) {
        if (!canInstall()) {
            throw new Error(
                `This machine cannot run ${platform} programs: install qemu-user-static and its binfmt registration (with the F flag).`,
            );
        }
        await setUpEmulation();
    }
    await execa("scripts/root-image.sh", ["native", platform], { stdio: "inherit" });
}

/** The F flag: the interpreter is opened at registration, because it is not there inside a container. */
function canEmulate(): boolean {
    return existsSync(handler) && /^flags:.*F/m.test(readFileSync(handler, "utf8"));
}

async function setUpEmulation(): Promise<void> {
    // Debian 12's qemu-user-binfmt registers programs that need libraries of this machine, and without the flag;
    // qemu-user-static takes its place. Debian 13 has the name for what its qemu-user became.
    if (!existsSync(registration) || !/:[A-Z]*F[A-Z]*$/m.test(readFileSync(registration, "utf8"))) {
        await install("qemu-user-static");
    }
    if (!existsSync(join(binfmt, "register"))) {
        await asRoot(["mount", "-t", "binfmt_misc", "binfmt_misc", binfmt]);
    }
    if (existsSync(handler) && !canEmulate()) {
        await asRoot(["tee", handler], "-1\n");
    }
    // An init would have done this from the same file.
    if (!existsSync(handler)) {
        await asRoot(["tee", join(binfmt, "register")], readFileSync(registration, "utf8"));
    }
    if (!canEmulate()) {
        throw new Error(
            `${handler} is not there, or without the F flag, after qemu-user-static was installed.`,
        );
    }
}
