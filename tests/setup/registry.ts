import { canInstall, install, succeeds } from "./packages";

/**
 * Sees to it that Debian's registry is there.
 *
 * @throws Error where it is not and cannot be installed without a question.
 */
export async function provideRegistry(): Promise<void> {
    if (succeeds("docker-registry", "--version")) {
        return;
    }
    if (!canInstall()) {
        throw new Error(
            "The tests of registries need docker-registry: install Debian's package of that name.",
        );
    }
    await install("docker-registry");
}
