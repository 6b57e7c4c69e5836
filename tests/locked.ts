import { readFileSync } from "node:fs";
import { lockFile, parseLock } from "../scripts/lock";

/** Packages of the compute image, in its versions and with its hashes, as a requirements file. */
export function lockedRequirements(packages: readonly string[]): string {
    return ["core", "llm"]
        .flatMap((lock) => parseLock(readFileSync(lockFile(lock), "utf8")))
        .filter(({ name }) => packages.includes(name))
        .map(({ name, version, hashes }) =>
            [`${name}==${version}`, ...hashes.map((hash) => `--hash=${hash}`)].join(" "),
        )
        .join("\n");
}
