import { Command } from "commander";
import { suiteVersion } from "../catalogue/version";
import { addBackup } from "./commands/backup";
import { addBuild } from "./commands/build";
import { addCertificate } from "./commands/certificate";
import { addClean } from "./commands/clean";
import { addCredentials } from "./commands/credentials";
import { addDoctor } from "./commands/doctor";
import { addDown } from "./commands/down";
import { addDrift } from "./commands/drift";
import { addGpu } from "./commands/gpu";
import { addLogs } from "./commands/logs";
import { addModels } from "./commands/models";
import { addOpen } from "./commands/open";
import { addOutputs } from "./commands/outputs";
import { addPreview } from "./commands/preview";
import { addPulumi } from "./commands/pulumi";
import { addRefresh } from "./commands/refresh";
import { addRestore } from "./commands/restore";
import { addRollback } from "./commands/rollback";
import { addSbom } from "./commands/sbom";
import { addSshConfig } from "./commands/sshConfig";
import { addState } from "./commands/state";
import { addStatus } from "./commands/status";
import { addStop } from "./commands/stop";
import { addSync } from "./commands/sync";
import { addTunnel } from "./commands/tunnel";
import { addUp } from "./commands/up";
import { addVerify } from "./commands/verify";
import { addWatch } from "./commands/watch";
import { exitCodes } from "./errors";
import { addCommonOptions } from "./options";

const examples = `
Examples:
  ./carbon up                              deploy the stack dev and check it
  ./carbon up --stack arm64 --yes          deploy another stack, without a question
  ./carbon open                            open JupyterLab, logged in
  ./carbon credentials                     show every login
  ./carbon credentials rotate postgres     change a password
  ./carbon models pull qwen3-4b            pull a model for the LLM server
  ./carbon tunnel --stack cloud            bring the ports of a stack on a server to this machine
  ./carbon logs postgres --follow          watch a service's log
  ./carbon backup --to /Volumes/Disk       write data, settings and passwords into one encrypted file
  ./carbon restore FILE                    bring back what it holds; --only postgres brings back a part
  ./carbon stop                            stop the containers as they are; start starts them
  ./carbon down                            take the stack down; its data and passwords stay
  ./carbon down --volumes                  take the stack down and delete its data

Exit codes: 0 all is well; ${exitCodes.failure} something is wrong, and the output says what; ${exitCodes.usage} the command line is wrong,
or nobody could be asked; ${exitCodes.drift} drift found differences; ${exitCodes.interrupted} interrupted.`;

/** The whole command line. */
export function createProgram(): Command {
    const program = new Command("carbon")
        .description(
            "Carbon macOS Suite: deploys and looks after the AI development environment in containers.",
        )
        .version(suiteVersion, "-V, --version", "print the version")
        .helpOption("-h, --help", "show this help")
        .helpCommand(false)
        .showHelpAfterError("Type `./carbon --help` for every command and option.")
        .configureHelp({ showGlobalOptions: true })
        .addHelpText("after", examples)
        .exitOverride();
    addCommonOptions(program);

    program.commandsGroup("Deploy:");
    addUp(program);
    addRollback(program);
    addPreview(program);
    addDrift(program);
    addRefresh(program);
    addStop(program);
    addDown(program);
    addBuild(program);
    program.commandsGroup("Use:");
    addOpen(program);
    addCredentials(program);
    addOutputs(program);
    addSshConfig(program);
    addTunnel(program);
    addSync(program);
    addCertificate(program);
    addGpu(program);
    addModels(program);
    program.commandsGroup("Look after:");
    addStatus(program);
    addWatch(program);
    addVerify(program);
    addLogs(program);
    addSbom(program);
    addBackup(program);
    addRestore(program);
    addDoctor(program);
    addState(program);
    addClean(program);
    addPulumi(program);
    return program;
}
