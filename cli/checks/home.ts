import { existsSync } from "node:fs";
import { homedir } from "node:os";
import * as path from "node:path";

/** The folder in which `carbon gpu` keeps what runs on this machine itself. */
export function gpuHome(env: NodeJS.ProcessEnv = process.env, platform = process.platform): string {
    const own =
        platform === "darwin"
            ? ["Library", "Application Support", "Carbon GPU"]
            : [".local", "share", "carbon-gpu"];
    return env.CARBON_GPU_HOME || path.join(homedir(), ...own);
}

/** The interpreter of a kernel's environment; undefined where it is not installed. */
export function kernelPython(kernel: string, home: string): string | undefined {
    const python = path.join(home, "envs", kernel, "bin", "python");
    return existsSync(python) ? python : undefined;
}
