import { spawnSync } from "node:child_process";
import { type ContainerDetails, docker } from "../docker";

/**
 * Pauses containers until `end` is called. They also go on where a second Ctrl-C ends this process at once; after a
 * SIGKILL, `carbon up` lets them go on.
 */
export async function pauseContainers(containers: readonly ContainerDetails[]): Promise<{ end(): void }> {
    const ids = containers.map(({ Id }) => Id);
    const goOn = () => {
        if (ids.length > 0) {
            spawnSync("docker", ["unpause", ...ids], { stdio: "ignore" });
        }
    };
    process.once("exit", goOn);
    const end = () => {
        process.removeListener("exit", goOn);
        goOn();
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
