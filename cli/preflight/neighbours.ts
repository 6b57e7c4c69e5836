import * as path from "node:path";
import { type DockerInfo, isLocalEngine } from "../docker";
import { run } from "../process";
import { type Finding, ok, warning } from "./finding";

/** The first version of Docker Engine that drops what neighbours send to containers. */
const safeEngine = 28;
const script = path.join(__dirname, "..", "..", "host", "docker-neighbours.sh");
/** Exit code of the script's `check`: only root can see whether the rules are there. */
const cannotSee = 4;

/**
 * Whether machines on the same network segment are kept away from ports that are published on 127.0.0.1, see
 * host/docker-neighbours.sh. Undefined where there is nothing to say: Docker Desktop's engine lies in a machine of
 * its own that nobody can route to, and so does a rootless one's network.
 */
export async function checkNeighbours(
    info: DockerInfo,
    platform: NodeJS.Platform = process.platform,
): Promise<Finding | undefined> {
    const title = "network neighbours";
    const version = info.ServerVersion ?? "";
    const isApart =
        info.OperatingSystem?.includes("Docker Desktop") ||
        info.SecurityOptions?.some((option) => option.startsWith("name=rootless"));
    if (platform !== "linux" || isApart) {
        return undefined;
    }
    // What has no number, or is not Docker's, is not older.
    if (!(Number.parseInt(version, 10) < safeEngine)) {
        return ok(title, `kept out by Docker ${version}`);
    }
    const open = `Docker ${version} lets machines on the same network segment reach the containers' ports, also those on 127.0.0.1`;
    const upgrade = `Upgrade Docker to ${safeEngine}`;
    if (!isLocalEngine()) {
        return warning(
            title,
            `${open}, unless rules there stop it`,
            `${upgrade}; docs/troubleshooting.md has the rules.`,
        );
    }
    const { exitCode } = await run(script, ["check"]);
    if (exitCode === 0) {
        return ok(
            title,
            `kept out by rules in the chain DOCKER-USER, because Docker ${version} does not do it`,
        );
    }
    return warning(
        title,
        exitCode === cannotSee ? `${open}, unless rules stop it, which only root can see` : open,
        `${upgrade}, or add the rules that docs/troubleshooting.md has.`,
    );
}
