import type { Command } from "commander";
import pc from "picocolors";
import { workspace } from "../../catalogue";
import { action, type Handler } from "../action";
import { type ContainerDetails, serviceLabel, stackContainers } from "../docker";
import { exitCodes, UserError } from "../errors";
import { plural } from "../output";
import { printableLine } from "../printable";
import type { Session } from "../session";
import { type SystemFiles, systemFiles } from "../systemFiles";
import { verificationTable } from "../tables";
import { runVerification } from "../verification";

interface VerifyFlags {
    only?: string;
    systemFiles: boolean;
}

/** `carbon verify`. */
export function addVerify(program: Command): void {
    program
        .command("verify")
        .description("run the check in the workspace again; exit code 0 when nothing fails")
        .option("--only <ids>", "run these checks only, by id, separated by commas")
        .option(
            "--system-files",
            "also compare the workspace's system files with its image, from outside (a minute or two)",
            false,
        )
        .action(action(verify));
}

const verify: Handler<VerifyFlags> = async (session, flags) => {
    const container = await ensureRunning(session);
    session.output.note(
        `Checking; this takes ${flags.systemFiles ? "a minute or two" : "up to a minute"}.\n`,
    );
    const { signal } = session;
    const [document, files] = await Promise.all([
        runVerification(session.stack, { only: flags.only, signal }),
        flags.systemFiles ? systemFiles(container.Id, signal) : undefined,
    ]);
    const table = verificationTable(document, session.width);
    session.output.result(files ? `${table}\n\n${describeFiles(files)}` : table, {
        ...document,
        systemFiles: files,
    });
    return document.summary.fail > 0 ? exitCodes.failure : 0;
};

/** It is no failure: whoever installs a package with apt changes them, too. */
function describeFiles({ changed, first }: SystemFiles): string {
    if (changed === 0) {
        return "System files, compared from outside by size and time: as the image has them.";
    }
    const shown = first.map(printableLine).join(", ");
    return (
        `${pc.yellow("!")} System files, compared from outside: ${plural(changed, "file")} changed since the image ` +
        `(${shown}${changed > first.length ? ", …" : ""}). If that was not you with sudo, trust nothing that the workspace says.`
    );
}

async function ensureRunning(session: Session): Promise<ContainerDetails> {
    const containers = await stackContainers(session.stack);
    const found = containers.find(({ Config }) => Config.Labels[serviceLabel] === workspace.name);
    if (!found) {
        throw new UserError(await session.whyNothingRuns());
    }
    if (found.State.Status !== "running") {
        throw new UserError(
            `The workspace is ${found.State.Status}. Type: ./carbon ${found.State.Status === "exited" ? "start" : "up"}${session.stackFlag()}`,
        );
    }
    return found;
}
