import { editStackFile } from "@carbon/engine";
import { type Document, isMap, isScalar } from "yaml";
import type { Project } from "./project";

const key = "carbon:heldImages";
const comment = " The images that a rollback put back; `./carbon up --new-images` tries the new ones.";

/**
 * Writes the images into the stack's file, which both engines read: the program then takes them as they are. The rest
 * of the file stays as it is, its comments and their order included.
 *
 * @param images Reference by name, as the setting `heldImages` has them.
 * @throws EngineError when the file is not YAML.
 */
export async function holdImages(
    project: Project,
    stack: string,
    images: Record<string, string>,
): Promise<void> {
    await editStackFile(project.dir, stack, (document) => {
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
 * @throws EngineError when the file is not YAML.
 */
export function releaseImages(project: Project, stack: string): Promise<boolean> {
    return editStackFile(project.dir, stack, forget);
}

function nameOf(node: unknown): unknown {
    return isScalar(node) ? node.value : node;
}

function forget(document: Document): boolean {
    return [key, "heldImages"].map((name) => document.deleteIn(["config", name])).some(Boolean);
}
