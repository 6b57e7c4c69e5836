import { z } from "zod";
import { EngineError } from "./engine-error";

/** A mapping of names to values of any kind. */
export const mapping = z.record(z.string(), z.unknown());

/**
 * Compares a parsed file with what the engine reads of it. @returns the document itself, with all that it holds.
 * @throws EngineError naming the file and the first place that is different.
 */
export function checkDocument<T>(file: string, document: unknown, schema: z.ZodType<T>): T {
    const issue = schema.safeParse(document).error?.issues[0];
    if (issue) {
        const place = issue.path.length > 0 ? `"${issue.path.join(".")}" is wrong` : "the whole is wrong";
        throw new EngineError(
            `${file} is not what it should be: ${place} (${issue.message.replace(/^Invalid input: /, "")}).`,
        );
    }
    return document as T;
}
