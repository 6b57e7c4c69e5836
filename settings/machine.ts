import { existsSync, readFileSync, statSync } from "node:fs";
import { homedir } from "node:os";
import type { Machine } from "./parse";

/** The machine that this process runs on. */
export function thisMachine(projectDir: string): Machine {
    return {
        env: process.env,
        home: homedir(),
        projectDir,
        arch: process.arch,
        readFile: (file) => (isFile(file) ? readFileSync(file, "utf8") : undefined),
        isNotFolder: (file) => existsSync(file) && !statSync(file).isDirectory(),
    };
}

function isFile(file: string): boolean {
    return existsSync(file) && statSync(file).isFile();
}
