import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { type Command, InvalidArgumentError } from "commander";
import { execa } from "execa";
import pc from "picocolors";
import { catalogueName, everyService } from "../../catalogue";
import { action, type Handler } from "../action";
import { type ContainerDetails, nameOf, serviceLabel, stackContainers } from "../docker";
import { UserError } from "../errors";
import { printable, printableLine } from "../printable";
import { stackSwarmServices, swarmServiceName } from "../swarm/services";

interface LogFlags {
    follow: boolean;
    tail: string;
}

const names = everyService.map(({ name }) => name);
const colours = [pc.cyan, pc.magenta, pc.yellow, pc.green, pc.blue];

/** `carbon logs`. */
export function addLogs(program: Command): void {
    program
        .command("logs")
        .argument("[service]", `one of ${names.join(", ")} (default: all that are there)`, parseService)
        .description("show the services' logs, each line with its service's name")
        .option("-f, --follow", "go on as lines come in, until Ctrl-C", false)
        .option("-n, --tail <lines>", "lines from the end to start with, or all", parseTail, "200")
        .action(action(logs));
}

function parseService(name: string): string {
    if (!names.includes(catalogueName(name))) {
        throw new InvalidArgumentError(`Allowed: ${names.join(", ")}.`);
    }
    return name;
}

function parseTail(value: string): string {
    if (!/^(\d+|all)$/.test(value)) {
        throw new InvalidArgumentError("Allowed: a number, or all.");
    }
    return value;
}

const logs: Handler<LogFlags> = async (session, flags, [service]) => {
    const all = await stackContainers(session.stack);
    const swarm = await stackSwarmServices(session.stack);
    const chosen = service ? all.filter((container) => isOf(serviceOf(container), service)) : all;
    const spread = service ? swarm.filter((one) => isOf(swarmServiceName(one), service)) : swarm;
    if (chosen.length + spread.length === 0) {
        throw new UserError(
            all.length > 0
                ? `The stack ${session.stack} runs no ${service}.`
                : await session.whyNothingRuns(),
        );
    }
    const sources = [
        ...chosen.map((container) => ({ name: serviceOf(container), command: ["logs"], id: container.Id })),
        // Docker says in front of each line which of its containers it is from, and on which node.
        ...spread.map((one) => ({ name: swarmServiceName(one), command: ["service", "logs"], id: one.ID })),
    ];
    const width = Math.max(...sources.map(({ name }) => name.length));
    const jobs = sources.map(({ name, command, id }, index) => {
        const colour = colours[index % colours.length] ?? String;
        return show([command, id], colour(`${name.padEnd(width)} |`), flags, session.signal);
    });
    await Promise.all(jobs);
};

/** `spark-worker` names every one of its containers, `spark-worker-2` one. */
function isOf(instance: string, service: string): boolean {
    return instance === service || catalogueName(instance) === service;
}

function serviceOf(container: ContainerDetails): string {
    return printableLine(container.Config.Labels[serviceLabel] ?? nameOf(container));
}

/**
 * Copies a log to standard output, line by line with its service's name in front. Strangers can write
 * there: a user name that a login was tried with, a path that a server was asked for.
 */
async function show(
    [command, id]: [readonly string[], string],
    prefix: string,
    { follow, tail }: LogFlags,
    signal: AbortSignal,
): Promise<void> {
    const args = [...command, "--tail", tail, ...(follow ? ["--follow"] : []), id];
    const child = execa("docker", args, {
        buffer: false,
        reject: false,
        stdin: "ignore",
        cancelSignal: signal,
    });
    await Promise.all([prefixLines(child.stdout, prefix), prefixLines(child.stderr, prefix), child]);
}

async function prefixLines(stream: Readable, prefix: string): Promise<void> {
    for await (const line of createInterface({ input: stream })) {
        process.stdout.write(`${prefix} ${printable(line)}\n`);
    }
}
