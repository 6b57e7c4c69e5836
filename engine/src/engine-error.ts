/**
 * A mistake the user can mend: bad configuration, a taken port, a failing build. Its message is a whole sentence
 * that says what is wrong and what to do; it is printed without a stack.
 */
export class EngineError extends Error {
    override readonly name = "EngineError";
}

/** The text of anything that was thrown. */
export function messageOf(error: unknown): string {
    return error instanceof Error ? error.message : String(error);
}
