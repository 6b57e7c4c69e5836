import { EngineError, messageOf } from "../engine-error";

/** What the Docker Engine answers to a refused request. */
interface ApiError extends Error {
    statusCode?: number;
    code?: string;
    json?: { message?: string };
}

const UNREACHABLE = new Set(["ENOENT", "ECONNREFUSED", "EACCES", "ENOTFOUND", "ECONNRESET", "ETIMEDOUT"]);

/** The container that is to be started runs already, or the one to be stopped does not. */
export const NOT_MODIFIED = 304;
const NOT_FOUND = 404;
export const CONFLICT = 409;

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

/** As `call`, but undefined where the Docker Engine answers with this status. */
export async function unless<T>(status: number, call: () => Promise<T>): Promise<T | undefined> {
    try {
        return await call();
    } catch (error) {
        if ((error as ApiError).statusCode !== status) {
            throw error;
        }
        return undefined;
    }
}

/** As `call`, but undefined where there is no such object. */
export async function unlessMissing<T>(call: () => Promise<T>): Promise<T | undefined> {
    try {
        return await unless(NOT_FOUND, call);
    } catch (error) {
        throw new EngineError(explain(error));
    }
}

/** As `attempt`, for taking something away: what is gone already is fine. */
export async function attemptRemoval(doing: string, call: () => Promise<unknown>): Promise<void> {
    await attempt(doing, () => unless(NOT_FOUND, call));
}
