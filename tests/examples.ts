import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** Where the example notebooks lie in the compute image. */
export const EXAMPLES_FOLDER = "/usr/local/share/carbon/examples";

/** Files as they lie in the compute image, in a folder per toolset, and `always`. */
export const computeRootfs = join(__dirname, "..", "dockerfiles", "compute", "rootfs");

/** An example notebook of the project. */
export interface Example {
    /** Without `.ipynb`. */
    name: string;
    /** The toolset that brings it, or `always`. */
    toolset: string;
    /** On this machine. */
    path: string;
}

/** The example notebooks of the project, in the order in which JupyterLab shows them. */
export function findExamples(): Example[] {
    const inToolset = (toolset: string) => {
        const folder = join(computeRootfs, toolset, EXAMPLES_FOLDER);
        const files = existsSync(folder) ? readdirSync(folder) : [];
        return files.map((file) => ({
            name: file.replace(/\.ipynb$/, ""),
            toolset,
            path: join(folder, file),
        }));
    };
    const all = readdirSync(computeRootfs).flatMap(inToolset);
    return all.sort((one, other) => (one.name < other.name ? -1 : 1));
}
