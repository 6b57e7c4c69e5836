export { messageOf } from "@carbon/engine";

/** Exit codes of the `carbon` command; `carbon --help` lists them. */
export const exitCodes = {
    /** Something is wrong, and the output says what. */
    failure: 1,
    /** The command line is wrong, or a question could not be asked. Nothing was done. */
    usage: 2,
    /** `carbon drift` found differences. */
    drift: 3,
    /** Ended by Ctrl-C (128 + SIGINT, as shells count it). */
    interrupted: 130,
} as const;

/** A mistake the user can mend. Its message says what is wrong and what to type next; it is printed without a stack. */
export class UserError extends Error {
    override readonly name: string = "UserError";

    constructor(
        message: string,
        readonly exitCode: number = exitCodes.failure,
    ) {
        super(message);
    }
}

/** The user does not want it after all. That is no error, so the word is not said. */
export class Declined extends UserError {
    override readonly name: string = "Declined";
}

/** The user pressed Ctrl-C. */
export class Interrupted extends Declined {
    override readonly name = "Interrupted";

    constructor(message = "Interrupted.") {
        super(message, exitCodes.interrupted);
    }
}
