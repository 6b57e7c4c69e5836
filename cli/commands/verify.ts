import type { Command } from "commander";
import { workspace } from "../../services";
import { containerName } from "../../settings/names";
import { action, type Handler } from "../action";
import { serviceLabel, stackContainers } from "../docker";
import { UserError } from "../errors";
import { runInteractively } from "../process";
import type { Session } from "../session";

interface VerifyFlags {
    only?: string;
}

/** `carbon verify`. */
export function addVerify(program: Command): void {
    program
        .command("verify")
        .description("run the check in the workspace again; exit code 0 when nothing fails")
        .option("--only <ids>", "run these checks only, by id, separated by commas")
        .action(action(verify));
}

const verify: Handler<VerifyFlags> = async (session, { only }) => {
    await ensureRunning(session);
    return runInteractively(
        "docker",
        [
            "exec",
            ...(session.interactive ? ["--interactive", "--tty"] : []),
            containerName(session.stack, workspace.name),
            "carbon-verify",
            session.options.json ? "--json" : "--table",
            ...(only ? ["--only", only] : []),
        ],
        { signal: session.signal },
    );
};

async function ensureRunning(session: Session): Promise<void> {
    const containers = await stackContainers(session.stack);
    const found = containers.find(({ Config }) => Config.Labels[serviceLabel] === workspace.name);
    if (!found) {
        throw new UserError(session.notDeployed());
    }
    if (found.State.Status !== "running") {
        throw new UserError(
            `The workspace is ${found.State.Status}. Type: npx carbon up${session.stackFlag()}`,
        );
    }
}
