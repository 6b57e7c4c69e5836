import { readFileSync } from "node:fs";
import * as path from "node:path";

/** The suite's version, as package.json has it. */
export const suiteVersion: string = JSON.parse(
    readFileSync(path.resolve(__dirname, "..", "package.json"), "utf8"),
).version;
