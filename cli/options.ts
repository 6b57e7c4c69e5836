import { type Command, InvalidArgumentError, Option } from "commander";
import { type EngineChoice, engineChoices } from "./engines";

/** The options that every command takes. */
export interface CommonOptions {
    stack: string;
    engine: EngineChoice;
    json: boolean;
    yes: boolean;
}

/** Adds the options that every command takes. */
export function addCommonOptions(program: Command): void {
    program
        .addOption(
            new Option("-s, --stack <name>", "stack to work on; its settings are in Pulumi.<name>.yaml")
                .env("STACK")
                .default("dev")
                .argParser(parseStackName),
        )
        .addOption(
            new Option(
                "--engine <engine>",
                "what deploys: the Pulumi CLI where there is one, or the embedded engine",
            )
                .choices(engineChoices)
                .default("auto"),
        )
        .option("--json", "print one JSON document on standard output, and progress on standard error", false)
        .option("-y, --yes", "do it without asking", false);
}

/**
 * A stack's name is part of every Docker name and image tag, so it is held to what all of them allow.
 *
 * @throws InvalidArgumentError saying what is allowed.
 */
export function parseStackName(name: string): string {
    if (!/^[a-z0-9][a-z0-9-]{0,39}$/.test(name)) {
        throw new InvalidArgumentError(
            "Use up to 40 lower-case letters, digits and hyphens, a hyphen not first.",
        );
    }
    return name;
}
