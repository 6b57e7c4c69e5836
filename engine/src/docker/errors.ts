import { EngineError, messageOf } from "../errors";

/** What the Docker Engine answers to a refused request. */
interface ApiError extends Error {
    statusCode?: number;
    code?: string;
    json?: { message?: string };
}

const UNREACHABLE = new Set(["ENOENT", "ECONNREFUSED", "EACCES", "ENOTFOUND", "ECONNRESET", "ETIMEDOUT"]);

export function isNotFound(error: unknown): boolean {
    return (error as ApiError).statusCode === 404;
}

export function isConflict(error: unknown): boolean {
    return (error as ApiError).statusCode === 409;
}

/** Nothing to do: the container runs, or is stopped, already. */
export function isNotModified(error: unknown): boolean {
    return (error as ApiError).statusCode === 304;
}

/** The Docker Engine's own words, or a sentence about why it cannot be reached. */
export function explain(error: unknown): string {
    const { code, statusCode, json } = error as ApiError;
    if (statusCode === undefined && code && UNREACHABLE.has(code)) {
        return code === "EACCES"
            ? `The Docker Engine's socket may not be opened (${messageOf(error)}): add yourself to the group docker.`
            : `The Docker Engine cannot be reached (${messageOf(error)}): start it, for example Docker Desktop.`;
    }
    return json?.message ?? messageOf(error);
}

/** Runs a call to the Docker Engine and turns its failure into a sentence that starts with `doing`. */
export async function attempt<T>(doing: string, call: () => Promise<T>): Promise<T> {
    try {
        return await call();
    } catch (error) {
        throw error instanceof EngineError ? error : new EngineError(`${doing}: ${explain(error)}`);
    }
}

/** As `call`, but undefined where there is no such object. */
export async function unlessMissing<T>(call: () => Promise<T>): Promise<T | undefined> {
    try {
        return await call();
    } catch (error) {
        if (isNotFound(error)) {
            return undefined;
        }
        throw new EngineError(explain(error));
    }
}
