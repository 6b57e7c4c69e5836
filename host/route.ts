import * as pulumi from "@pulumi/pulumi";
import { type HostGateway, hostGatewaySecret } from "../catalogue/gpu";
import { machineName } from "../catalogue/names";
import type { Settings } from "../settings";
import { pins } from "./environments";
import { type HostHome, hostHome, readConfig, readSecret } from "./home";

/** The gateway of this machine's kernels, as the stack takes it. */
export interface HostRoute {
    access: HostGateway;
    /** The gateway's token, by its file name among the secrets: it is this machine's, and no password of the stack's. */
    secrets: Record<string, string>;
    /** For the stack output `gpu`. */
    found: { url: string; machine: string; kernels: string[] };
}

/**
 * What this machine has for `gpu: host`; undefined with other routes.
 *
 * @throws pulumi.RunError where nothing is installed; Pulumi prints it without a stack trace.
 */
export function hostRoute(
    { gpu, gpuPort }: Pick<Settings, "gpu" | "gpuPort">,
    home: HostHome = hostHome(),
): HostRoute | undefined {
    if (gpu !== "host") {
        return undefined;
    }
    const [config, token] = [readConfig(home), readSecret(home, "token")];
    if (!config || !token) {
        throw new pulumi.RunError(
            "carbon:gpu is host, and no kernels are installed on this machine. Type: ./carbon gpu install",
        );
    }
    const url = `http://${machineName}:${gpuPort}`;
    return {
        access: { url },
        secrets: { [hostGatewaySecret]: token },
        found: { url, machine: pins.machines[config.machine].title, kernels: config.kernels },
    };
}
