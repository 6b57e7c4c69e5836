import { CommanderError } from "commander";
import { forPulumi, runPulumi } from "./commands/pulumi";
import { exitCodes } from "./errors";
import { createProgram } from "./program";

async function main(): Promise<void> {
    // States, their backups and whatever else this command and its children make is for its user alone.
    process.umask(0o077);
    try {
        const call = forPulumi(process.argv.slice(2));
        if (call) {
            process.exitCode = await runPulumi(call);
            return;
        }
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
