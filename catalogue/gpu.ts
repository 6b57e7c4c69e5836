/** How the stack's programs reach a GPU, as the setting `gpu` says it. */
export const gpuRoutes = ["off", "host", "dri", "nvidia"] as const;
export type GpuRoute = (typeof gpuRoutes)[number];

/** Folder of Linux's devices for GPUs, on the machine of the Docker Engine and in the containers. */
export const driFolder = "/dev/dri";

/** What a container is given of a GPU. */
export interface GpuAccess {
    devices?: { hostPath: string; containerPath: string; permissions: string }[];
    /** NVIDIA's, as `docker run --gpus` takes it. */
    gpus?: string;
    /** Variables that take the place of the image's. */
    env: Record<string, string>;
}

/** Whether the route passes a device of the Docker Engine's machine into containers. */
export function isPassedIn(route: GpuRoute): boolean {
    return route === "dri" || route === "nvidia";
}

/** What the route gives to the containers that are for it. */
export function gpuAccess(route: GpuRoute): GpuAccess {
    if (route === "nvidia") {
        return { gpus: "all", env: {} };
    }
    if (route === "dri") {
        return {
            devices: [{ hostPath: driFolder, containerPath: driFolder, permissions: "rw" }],
            // The image allows Mesa's drivers for the CPU alone. A folder stands for all drivers in it: Venus, the native
            // ones, and lavapipe still. OpenGL falls back to llvmpipe where the device's driver has none.
            env: { LIBGL_ALWAYS_SOFTWARE: "false", VK_DRIVER_FILES: "/usr/share/vulkan/icd.d" },
        };
    }
    return { env: {} };
}

/** Checks of `carbon-verify` whose words say which GPU there is, by route. */
const tellingChecks: Partial<Record<GpuRoute, readonly string[]>> = {
    dri: ["vulkan", "opengl"],
    nvidia: ["nvidia-smi", "cuda"],
};

/** What the check's document says of the GPU, by check. Whoever is root in the workspace decides what that is. */
export function foundGpu(route: GpuRoute, document: unknown): Record<string, string> {
    const checks = (document as { checks?: unknown } | null)?.checks;
    const telling = (Array.isArray(checks) ? checks : []).filter((check) =>
        tellingChecks[route]?.includes(check?.id),
    );
    return Object.fromEntries(telling.map(({ id, status, observed }) => [id, `${status}: ${observed}`]));
}

/** The gateway of the host's kernels, as the workspace reaches it. */
export interface HostGateway {
    url: string;
}

/** File name of its token among the secrets. */
export const hostGatewaySecret = "gpu";
