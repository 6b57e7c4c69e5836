import type { Carriage, StackLocation } from "@carbon/engine";
import { passwordType } from "../engines/types";
import { UserError } from "../errors";
import { hasOwnBackend, readPassphrase } from "../project";
import type { Session } from "../session";

/** What a backup carries of the stack's state: its passwords, each in its service's component. */
export const passwords: Carriage = { types: [passwordType], components: "carbon:components:" };

/**
 * Where the stack's settings and passwords are.
 *
 * @throws UserError where they are in a backend that is not the project's own.
 */
export function stackLocation({ project, stack }: Session): StackLocation {
    if (!hasOwnBackend(project, process.env)) {
        throw new UserError(
            "PULUMI_BACKEND_URL names another backend than the project's own, which backup and restore read and write. " +
                "Unset it, after bringing the stack over: `pulumi stack export` there and `pulumi stack import` here.",
        );
    }
    const { dir: projectDir, stateDir } = project;
    return { projectDir, stack, stateDir, passphrase: readPassphrase(project, process.env) };
}
