import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Document, parseDocument } from "yaml";
import { EngineError } from "./engine-error";
import { writeWhole } from "./write-whole";

/** How a stack's file is written: lines stay as long as they are, and lists as they were. */
export const stackFileFormat = { lineWidth: 0, flowCollectionPadding: false } as const;

/**
 * Writes a stack's file again where `change` says that it has changed something, its comments and their order kept; as it
 * is, or not at all. An absent file is an empty one.
 * @returns whether it has.
 * @throws EngineError when the file is not YAML, or cannot be written.
 */
export async function editStackFile(
    projectDir: string,
    stack: string,
    change: (document: Document) => boolean,
): Promise<boolean> {
    const file = join(projectDir, `Pulumi.${stack}.yaml`);
    const document = parseDocument(existsSync(file) ? readFileSync(file, "utf8") : "");
    const [error] = document.errors;
    if (error) {
        throw new EngineError(`${file} is not YAML: ${error.message.split("\n")[0]}`);
    }
    const changed = change(document as Document);
    if (changed) {
        await writeWhole(file, document.toString(stackFileFormat));
    }
    return changed;
}
