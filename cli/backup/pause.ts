import { spawnSync } from "node:child_process";
import { type ContainerDetails, docker, lines, nameOf } from "../docker";
import { UserError } from "../errors";

/**
 * Pauses containers until `end` is called. They also go on where a second Ctrl-C ends this process at once; after a
 * SIGKILL, `carbon up` lets them go on.
 *
 * @returns `end` throws UserError naming those that stay paused.
 * @throws UserError where one cannot be paused; then none is.
 */
export async function pauseContainers(containers: readonly ContainerDetails[]): Promise<{ end(): void }> {
    const ids = containers.map(({ Id }) => Id);
    const goOn = () => (ids.length > 0 ? spawnSync("docker", ["unpause", ...ids]).status === 0 : true);
    process.once("exit", goOn);
    const end = () => {
        process.removeListener("exit", goOn);
        // One that went on already is a failure, too.
        if (!goOn()) {
            ensureNonePaused(containers);
        }
    };
    try {
        if (ids.length > 0) {
            await docker("pause", ...ids);
        }
    } catch (error) {
        end();
        throw error;
    }
    return { end };
}

function ensureNonePaused(containers: readonly ContainerDetails[]): void {
    const paused = containers.filter(({ Id }) => {
        const args = ["inspect", "--type", "container", "--format", "{{.State.Status}}", Id];
        const { status, stdout, stderr } = spawnSync("docker", args, { encoding: "utf8" });
        const isGone = /no such container/i.test(stderr);
        return status === 0 ? lines(stdout)[0] === "paused" : !isGone;
    });
    if (paused.length > 0) {
        const names = paused.map(nameOf);
        throw new UserError(
            `Still paused, as Docker does not let it go on: ${names.join(", ")}. Type: docker unpause ${names.join(" ")}`,
        );
    }
}
