import { CommanderError } from "commander";
import { exitCodes } from "./errors";
import { createProgram } from "./program";

async function main(): Promise<void> {
    // States, their backups and whatever else this command and its children make is for its user alone.
    process.umask(0o077);
    try {
        await createProgram().parseAsync();
    } catch (error) {
        if (!(error instanceof CommanderError)) {
            throw error;
        }
        // Commander has said what is wrong with the command line, or shown the help that was asked for.
        process.exitCode = error.exitCode === 0 ? 0 : exitCodes.usage;
    }
}

void main();
