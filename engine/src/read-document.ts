import { existsSync, readFileSync } from "node:fs";
import { parse } from "yaml";
import { z } from "zod";
import { EngineError, messageOf } from "./engine-error";

/** A mapping of names to values of any kind. */
export const mapping = z.record(z.string(), z.unknown());

/**
 * Reads a JSON or YAML file and compares it with what the engine reads of it; an empty YAML file is an empty mapping.
 * @param title what to call the file in a message.
 * @returns the document itself, with all that it holds; undefined where there is no such file.
 * @throws EngineError naming the file and the first place that is different.
 */
export function readDocument<T>(path: string, schema: z.ZodType<T>, title = path): T | undefined {
    if (!existsSync(path)) {
        return undefined;
    }
    const isYaml = path.endsWith(".yaml");
    let document: unknown;
    try {
        const text = readFileSync(path, "utf8");
        document = isYaml ? (parse(text) ?? {}) : JSON.parse(text);
    } catch (error) {
        const what = isYaml ? "is not valid YAML" : "cannot be read";
        throw new EngineError(`${title} ${what}: ${messageOf(error)}`);
    }
    const issue = schema.safeParse(document).error?.issues[0];
    if (issue) {
        const place = issue.path.length > 0 ? `"${issue.path.join(".")}" is wrong` : "the whole is wrong";
        throw new EngineError(
            `${title} is not what it should be: ${place} (${issue.message.replace(/^Invalid input: /, "")}).`,
        );
    }
    return document as T;
}
