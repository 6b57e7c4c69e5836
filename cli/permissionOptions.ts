import type { Command } from "commander";

/** Adds the options of the commands that deploy, which allow to take away what stands in the stack's way. */
export function permissionOptions(command: Command): Command {
    return command
        .option(
            "--replace-foreign",
            "remove containers and networks that have the stack's names and are not the stack's",
            false,
        )
        .option(
            "--take-over",
            "take over a stack of this name that another user has made, with its data",
            false,
        );
}
