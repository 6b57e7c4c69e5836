import * as fs from "node:fs";
import * as path from "node:path";

/** One of code-server's extensions in the compute image. */
export interface Extension {
    /** `publisher.name`, as the registry spells it. */
    id: string;
    version: string;
    /** What it is listed under in docs/reference.md. */
    group: string;
    /** What it is for, in a few words. */
    use: string;
    /** What it starts and does not bring itself: commands that the image must have. Empty where it needs none. */
    programs: readonly string[];
    /** What it could use that the image has not, why, and how a user gets it. */
    lacks?: string;
    /** Of its file: one for every platform (`universal`), or one for `linux-x64` and one for `linux-arm64`. */
    sha256: Record<string, string>;
}

const file = path.resolve(__dirname, "../dockerfiles/compute/extensions.json");

/** Every extension that the compute image installs, sorted by id. */
export const extensions: Extension[] = JSON.parse(fs.readFileSync(file, "utf8")).extensions;
