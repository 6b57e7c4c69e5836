import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { writeWhole } from "@carbon/engine";
import { type Document, isMap, isScalar, parseDocument } from "yaml";
import { UserError } from "./errors";
import type { Project } from "./project";

const key = "carbon:heldImages";
const comment = " The images that a rollback put back; `./carbon up --new-images` tries the new ones.";

/**
 * Writes the images into the stack's file, which both engines read: the program then takes them as they are. The rest
 * of the file stays as it is, its comments and their order included.
 *
 * @param images Reference by name, as the setting `heldImages` has them.
 * @throws UserError when the file is not YAML.
 */
export async function holdImages(
    project: Project,
    stack: string,
    images: Record<string, string>,
): Promise<void> {
    await edit(project, stack, (document) => {
        forget(document);
        if (!isMap(document.get("config"))) {
            document.set("config", document.createNode({}));
        }
        document.setIn(["config", key], document.createNode(images));
        const config = document.get("config");
        if (isMap(config) && !config.flow) {
            const pair = config.items.find((item) => nameOf(item.key) === key);
            const name = document.createNode(key);
            name.commentBefore = comment;
            Object.assign(pair ?? {}, { key: name });
        }
        return true;
    });
}

/**
 * Takes them out again.
 *
 * @returns whether there were any.
 * @throws UserError when the file is not YAML.
 */
export function releaseImages(project: Project, stack: string): Promise<boolean> {
    return edit(project, stack, forget);
}

function nameOf(node: unknown): unknown {
    return isScalar(node) ? node.value : node;
}

function forget(document: Document): boolean {
    return [key, "heldImages"].map((name) => document.deleteIn(["config", name])).some(Boolean);
}

/** Writes the file again where `change` says that it has changed something; as it is, or not at all. */
async function edit(
    project: Project,
    stack: string,
    change: (document: Document) => boolean,
): Promise<boolean> {
    const file = join(project.dir, `Pulumi.${stack}.yaml`);
    const document = parseDocument(existsSync(file) ? readFileSync(file, "utf8") : "");
    const [error] = document.errors;
    if (error) {
        throw new UserError(`${file} is not YAML: ${error.message.split("\n")[0]}`);
    }
    const changed = change(document as Document);
    if (changed) {
        // Lines stay as long as they are.
        await writeWhole(file, document.toString({ lineWidth: 0, flowCollectionPadding: false }));
    }
    return changed;
}
