import { writeFileSync } from "node:fs";
import * as path from "node:path";
import { type Command, Option } from "commander";
import pc from "picocolors";
import { workspace } from "../../catalogue";
import { hostHome } from "../../host/home";
import { hostPrograms } from "../../host/llm";
import { SettingsError } from "../../settings/parse";
import { action, type Handler } from "../action";
import { acceleratorChecks } from "../checks/accelerators";
import { type OutsideCheck, runChecks } from "../checks/check";
import { compare, ensureMeasured } from "../checks/compare";
import { comparisonPicture, comparisonTable } from "../checks/comparisonViews";
import { hostKernelCheck } from "../checks/endToEnd";
import { engineChecks } from "../checks/engine";
import { junitXml } from "../checks/junit";
import { llmServerCheck } from "../checks/llmServers";
import { hostMachine } from "../checks/machine";
import { portChecks } from "../checks/ports";
import { type ContainerDetails, serviceLabel, stackContainers } from "../docker";
import { type Verification, verificationOf } from "../documents";
import { exitCodes, Interrupted, messageOf, UserError } from "../errors";
import { plural } from "../output";
import { printableLine } from "../printable";
import { ownFile } from "../project";
import type { Session } from "../session";
import { type SystemFiles, systemFiles } from "../systemFiles";
import { verificationTable } from "../tables";
import { runVerification, type Target, targets, workspaceEndToEnd } from "../verification";

interface VerifyFlags {
    target?: Target;
    only?: string;
    junit?: string;
    compare?: string | true;
    systemFiles: boolean;
}

/** `carbon verify`. */
export function addVerify(program: Command): void {
    program
        .command("verify")
        .description("run the check again; exit code 0 when nothing fails")
        .addOption(
            new Option(
                "--target <target>",
                "look at the workspace, at this machine, or at what the workspace reaches beyond it; all three when absent",
            ).choices(targets),
        )
        .option("--only <ids>", "run these checks only, by id, separated by commas")
        .option("--junit <file>", "also write the checks into a file as JUnit's XML")
        .option(
            "--compare [folder]",
            "measure the container's CPU against each route to a GPU instead, and write figures and a picture (minutes)",
        )
        .option(
            "--system-files",
            "also compare the workspace's system files with its image, from outside (a minute or two)",
            false,
        )
        .action(action(verify));
}

const verify: Handler<VerifyFlags> = async (session, flags) => {
    if (flags.compare) {
        return measure(session, flags);
    }
    const asked = await chosenChecks(session, flags);
    const container = asked.needsWorkspace || flags.systemFiles ? await ensureRunning(session) : undefined;
    session.output.note(
        `Checking; this takes ${flags.systemFiles ? "a minute or two" : "up to a minute"}.\n`,
    );
    const { signal } = session;
    const [documents, files] = await Promise.all([
        Promise.all(asked.runs.map((run) => run())),
        flags.systemFiles && container ? systemFiles(container.Id, signal) : undefined,
    ]);
    if (signal.aborted) {
        throw new Interrupted();
    }
    if (flags.junit) {
        writeReport("--junit", path.resolve(flags.junit), junitXml(documents));
    }
    const document = merged(documents);
    const table = verificationTable(document, session.width);
    session.output.result(files ? `${table}\n\n${describeFiles(files)}` : table, {
        ...document,
        systemFiles: files,
    });
    return document.summary.fail > 0 ? exitCodes.failure : 0;
};

/** Nothing is asserted: it ends with 0 where anything was measured. */
async function measure(session: Session, { compare: folder, ...others }: VerifyFlags): Promise<number> {
    const ignored = Object.entries(others).filter(([key, value]) => value && key in flagNames);
    if (ignored.length > 0) {
        const names = ignored.map(([key]) => flagNames[key]).join(", ");
        throw new UserError(`--compare measures, and checks nothing: leave out ${names}.`, exitCodes.usage);
    }
    const settings = session.settings();
    await ensureRunning(session);
    const { output, signal, stack } = session;
    const comparison = await compare(stack, settings, { signal, say: (line) => output.note(line) });
    if (signal.aborted) {
        throw new Interrupted();
    }
    ensureMeasured(comparison);
    const name = `compare-${stack}`;
    const base = typeof folder === "string" ? path.resolve(folder, name) : ownFile(session.project, name);
    writeReport("--compare", `${base}.json`, `${JSON.stringify(comparison, null, 4)}\n`);
    writeReport("--compare", `${base}.svg`, comparisonPicture(comparison));
    const table = comparisonTable(comparison, session.width);
    output.result(`\n${table}\n\nWritten: ${base}.json, ${base}.svg`, comparison);
    return 0;
}

const flagNames: Record<string, string> = {
    junit: "--junit",
    only: "--only",
    systemFiles: "--system-files",
    target: "--target",
};

/** What is to run, and whether that takes a running workspace. */
interface Chosen {
    runs: (() => Promise<Verification>)[];
    needsWorkspace: boolean;
}

/** The checks of the targets, of which `--only` picks some. What no other target knows, the workspace is asked for. */
async function chosenChecks(session: Session, { target, only }: VerifyFlags): Promise<Chosen> {
    const ids = only?.split(",").map((id) => id.trim());
    const isChosen = (id: string) => !ids || ids.includes(id);
    const wanted = (one: Target) => !target || target === one;
    const host = wanted("host") ? (await hostChecks(session)).filter(({ id }) => isChosen(id)) : [];
    const kernel = wanted("end-to-end") ? [kernelCheck(session)].filter(({ id }) => isChosen(id)) : [];
    const beyond = wanted("end-to-end") ? workspaceEndToEnd.filter(isChosen) : [];
    const outside = [...host, ...kernel].map(({ id }) => id);
    const inside = ids?.filter((id) => !outside.includes(id) && !beyond.includes(id));
    const { stack, signal } = session;
    const run = (one: Target, some?: readonly string[]) =>
        runVerification(stack, { target: one, only: some?.join(","), signal });
    const container =
        wanted("container") && (inside?.length !== 0 || outside.length + beyond.length === 0)
            ? [() => run("container", inside)]
            : [];
    const endToEnd = async () => {
        const [said, seen] = await Promise.all([
            beyond.length > 0 ? run("end-to-end", ids && beyond) : undefined,
            runChecks(kernel, signal),
        ]);
        return verificationOf("end-to-end", [...(said?.checks ?? []), ...seen]);
    };
    const runs = [
        ...container,
        ...(host.length > 0 ? [async () => verificationOf("host", await runChecks(host, signal))] : []),
        ...(kernel.length + beyond.length > 0 ? [endToEnd] : []),
    ];
    if (runs.length === 0) {
        throw new UserError(`The target ${target} has no check ${only}.`, exitCodes.usage);
    }
    return { runs, needsWorkspace: container.length > 0 || kernel.length + beyond.length > 0 };
}

async function hostChecks(session: Session): Promise<OutsideCheck[]> {
    const machine = await hostMachine();
    const settings = readableSettings(session);
    return [
        ...engineChecks(session.stack, settings),
        ...(await portChecks(session)),
        ...acceleratorChecks(machine, hostHome()),
        llmServerCheck({ wantsOwn: settings !== undefined && hostPrograms(settings).length > 0 }),
    ];
}

function kernelCheck(session: Session): OutsideCheck {
    return hostKernelCheck(session.stack, readableSettings(session)?.gpu === "host", hostHome());
}

/** A check does not fail for a configuration that can no longer be deployed. */
function readableSettings(session: Session) {
    try {
        return session.settings();
    } catch (error) {
        if (error instanceof SettingsError) {
            return undefined;
        }
        throw error;
    }
}

/** Several targets in one document; ids say which is whose. */
function merged(documents: Verification[]): Verification {
    const [first, ...others] = documents;
    return first && others.length === 0
        ? first
        : verificationOf(
              "all",
              documents.flatMap(({ checks }) => checks),
          );
}

function writeReport(option: string, file: string, text: string): void {
    try {
        writeFileSync(file, text);
    } catch (error) {
        throw new UserError(`${option}: ${file} cannot be written: ${messageOf(error)}`);
    }
}

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
