import type { GpuEntry } from "../catalogue/document";
import { machineName } from "../catalogue/names";
import type { Settings } from "../settings/parse";
import { type HostHome, hostHome, readConfig, readToken } from "./home";
import { machineKind, pins } from "./pins";

/** How the workspace reaches a GPU. */
export interface GpuRoute {
    /** For the stack output `gpu`. */
    output: { route: string } & Record<string, unknown>;
    /** For the workspace's document; absent where there is no route. */
    entry?: GpuEntry;
    /** Secret files of the workspace's, by name. */
    secrets: Record<string, string>;
}

/**
 * The route that the settings name, with the gateway's token where it is the host's.
 *
 * @throws Error where the host has none.
 */
export function gpuRoute(
    { gpu, gpuPort, stack }: Pick<Settings, "gpu" | "gpuPort" | "stack">,
    home: HostHome = hostHome(),
): GpuRoute {
    if (gpu === "off") {
        return { output: { route: "none" }, secrets: {} };
    }
    if (gpu !== "host") {
        return { output: { route: gpu }, entry: { route: gpu }, secrets: {} };
    }
    const [config, token] = [readConfig(home), readToken(home)];
    if (!config || !token) {
        throw new Error(
            "carbon:gpu is host, and no kernels are installed on this machine. Type: ./carbon gpu install",
        );
    }
    const url = `http://${machineName}:${gpuPort}`;
    const kind = machineKind(process.platform, process.arch);
    return {
        output: { route: gpu, url, machine: kind && pins.machines[kind].title, kernels: config.kernels },
        entry: { route: gpu, url, stack },
        secrets: { gpu: token },
    };
}
