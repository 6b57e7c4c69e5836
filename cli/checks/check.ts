import type { Check } from "../documents";
import { messageOf } from "../errors";
import { type ProcessResult, run } from "../process";

/** How a check ended. A hint on a PASS is a warning. */
export interface Outcome {
    status: Check["status"];
    observed: string;
    hint?: string;
}

export function passed(observed: string, hint?: string): Outcome {
    return { status: "PASS", observed, hint };
}

/** Not asked for, or not this machine. */
export function skipped(observed: string, hint?: string): Outcome {
    return { status: "SKIP", observed, hint };
}

/** Cannot exist here; `observed` says why. */
export function unsupported(observed: string): Outcome {
    return { status: "UNSUPPORTED", observed };
}

/** The promise is broken. `hint`, where given, is more to the point than the check's own. */
export class CheckFailed extends Error {
    constructor(
        readonly observed: string,
        readonly hint?: string,
    ) {
        super(observed);
    }
}

/** A promise, and the function that looks at it from outside the containers. */
export interface OutsideCheck {
    id: string;
    expected: string;
    /** What to type next when it fails. */
    hint: string;
    /** Seconds until it counts as failed; programs that it has started end then. Default 30. */
    limit?: number;
    look(probe: Probe): Promise<Outcome>;
}

/** Starts a program of a check's, which does not outlive the check. */
export type Probe = (
    program: string,
    args: readonly string[],
    options?: Parameters<typeof run>[2],
) => Promise<ProcessResult>;

/** What several checks of a run ask for is made once, with what the first one hands over. */
export function once<Given extends unknown[], T>(
    make: (...given: Given) => Promise<T>,
): (...given: Given) => Promise<T> {
    let made: Promise<T> | undefined;
    return (...given) => {
        made ??= make(...given);
        return made;
    };
}

/** Runs checks side by side. One that throws, whatever it throws, or takes longer than its limit is a FAIL. */
export function runChecks(checks: readonly OutsideCheck[], signal?: AbortSignal): Promise<Check[]> {
    return Promise.all(checks.map((check) => runCheck(check, signal)));
}

async function runCheck({ id, expected, hint, limit = 30, look }: OutsideCheck, outer?: AbortSignal) {
    const started = Date.now();
    const end = new AbortController();
    const late = new Promise<Outcome>((resolve) => {
        end.signal.addEventListener("abort", () =>
            resolve({ status: "FAIL", observed: `timed out after ${limit} s` }),
        );
    });
    const timer = setTimeout(() => end.abort(), limit * 1000);
    const signals = outer ? AbortSignal.any([end.signal, outer]) : end.signal;
    const probe: Probe = (program, args, options) =>
        run(program, args, { ...options, cancelSignal: signals });
    const outcome = await Promise.race([look(probe).catch(failure), late]);
    clearTimeout(timer);
    return {
        id,
        status: outcome.status,
        expected,
        observed: outcome.observed,
        seconds: Math.round((Date.now() - started) / 10) / 100,
        hint: outcome.hint ?? (outcome.status === "FAIL" ? hint : ""),
    } satisfies Check;
}

function failure(error: unknown): Outcome {
    return error instanceof CheckFailed
        ? { status: "FAIL", observed: error.observed, hint: error.hint }
        : { status: "FAIL", observed: messageOf(error) };
}
