import * as fs from "node:fs";
import type { Command } from "commander";
import pc from "picocolors";
import { pins } from "../../host/environments";
import { homeExists, hostHome, inHome, readConfig, renewSecret } from "../../host/home";
import { action, type Handler } from "../action";
import { confirm, ensureAnswerable } from "../confirm";
import { exitCodes } from "../errors";
import { askGateway, gatewayUrl, isWell } from "../host/api";
import {
    carryOut,
    describeRunning,
    hostSecrets,
    installedHost,
    missingEnvironments,
    planHost,
    startHost,
    uninstallHost,
    wantsHost,
} from "../host/control";
import { isCurrent, isInstalled } from "../host/install";
import { hostMachine } from "../host/machine";
import { processStates } from "../host/processes";
import { hostRunner } from "../host/runners";
import { plural } from "../output";
import { printableLine } from "../printable";
import { type Session, stackFlag } from "../session";
import { renderTable } from "../tables";

interface InstallFlags {
    kernel?: string[];
    python?: string;
    anew?: boolean;
}

/** `carbon gpu`. */
export function addGpu(program: Command): void {
    const gpu = program
        .command("gpu")
        .description(
            "kernels and the LLM server on this machine, for carbon:gpu and carbon:llm host: install, start, stop, status, upgrade, uninstall, rotate",
        );
    gpu.command("install")
        .description("install the kernels and their gateway, and start it")
        .option("--kernel <name...>", "these kernels alone (default: all usual ones of this machine)")
        .option("--python <path>", "a Python to make their environments with, instead of downloading one")
        .option("--anew", "make the kernels' environments anew; what you have installed into them goes")
        .action(action(install));
    gpu.command("start").description("start what is installed").action(action(start));
    gpu.command("stop")
        .description("stop the gateway with its kernels, and the LLM server")
        .action(action(stop));
    gpu.command("status")
        .description("show what is installed and runs; exit code 0 when the gateway answers as it should")
        .action(action(status));
    gpu.command("upgrade")
        .description("bring what is installed to the versions that this clone pins")
        .option("--python <path>", "a Python to make environments with, instead of downloading one")
        .action(action(upgrade));
    gpu.command("uninstall")
        .description("stop it, and remove everything that was installed")
        .action(action(uninstall));
    gpu.command("rotate")
        .description("renew the gateway's token, and the LLM server's key")
        .action(action(rotate));
}

const install: Handler<InstallFlags> = async (session, { kernel, python, anew }) => {
    ensureAnswerable(session, "gpu install");
    const plan = await planHost(session.settings(), { kernels: kernel });
    const installed = await carryOut(session, plan, { python, anew });
    const { config, home } = plan;
    const { address, kernels, programs } = config;
    session.output.result(
        [
            ...(kernels.length > 0
                ? [
                      `${pc.green("Ready")}: ${kernels.join(", ")}; the gateway answers on ${gatewayUrl(config)}.`,
                  ]
                : []),
            ...programs.map(
                ({ name, port }) => `${pc.green("Ready")}: the server ${name}, on http://${address}:${port}.`,
            ),
            ...nextStep(session, kernels),
        ].join("\n"),
        {
            home: home.dir,
            installed,
            kernels,
            programs: programs.map(({ name }) => name),
            url: gatewayUrl(config),
        },
    );
};

/** How the workspace learns of it. */
function nextStep(session: Session, kernels: readonly string[]): string[] {
    const up = `./carbon up${session.stackFlag()}`;
    const settings = session.settings();
    return settings.gpu === "host" || (kernels.length === 0 && wantsHost(settings))
        ? [`Hand it to the workspace: ${pc.bold(up)}`]
        : [`Set carbon:gpu to host in Pulumi.${session.stack}.yaml, and type: ${pc.bold(up)}`];
}

const start: Handler<unknown> = async (session) => {
    const host = await installedHost(session);
    await startHost(session, host);
    const { config, runner } = host;
    const url = config.kernels.length > 0 ? gatewayUrl(config) : undefined;
    const what = [
        ...(url ? [`the gateway, which answers on ${url}`] : []),
        ...config.programs.map(({ name, port }) => `the server ${name} on http://${config.address}:${port}`),
    ];
    session.output.result(`Started as a ${runner.title}: ${what.join("; ")}.`, {
        url,
        programs: config.programs.map(({ name }) => name),
    });
};

const stop: Handler<unknown> = async (session) => {
    const { runner } = await installedHost(session);
    const stopped = await runner.isRunning();
    await runner.stop();
    session.output.result(
        stopped
            ? "Stopped what runs on this machine for the suite; `./carbon gpu start` starts it again."
            : "It is stopped already.",
        { stopped },
    );
};

const upgrade: Handler<InstallFlags> = async (session, { python }) => {
    ensureAnswerable(session, "gpu upgrade");
    const { config: present } = await installedHost(session);
    const plan = await planHost(session.settings(), { kernels: present.kernels });
    const missing = missingEnvironments(plan);
    const { running } = await askGateway(plan.home, plan.config);
    if (missing.length > 0) {
        session.output.note(
            `To be brought up to date: ${missing.join(", ")}.${describeRunning(running.length)}`,
        );
        await confirm(session, "Upgrade?");
    }
    const installed = await carryOut(session, plan, { python });
    session.output.result(
        installed.length > 0 ? `Upgraded ${installed.join(", ")}.` : "Everything is up to date.",
        { installed },
    );
};

const uninstall: Handler<unknown> = async (session) => {
    ensureAnswerable(session, "gpu uninstall");
    const home = hostHome();
    const config = readConfig(home);
    const { files } = await hostRunner(home);
    const there = [...(homeExists(home) ? [home.dir] : []), ...files.filter((file) => fs.existsSync(file))];
    if (there.length === 0) {
        session.output.result("Nothing is installed.", { removed: [] });
        return;
    }
    session.output.note(
        `To be removed, with models and what you have installed into kernels: ${there.join(", ")}.`,
    );
    await confirm(session, "Remove it?");
    const left = await uninstallHost();
    const stacks = Object.keys(config?.workspaces ?? {});
    session.output.result(
        [
            `Removed ${there.join(", ")}.`,
            ...(left.length > 0 ? [`Not the suite's, and left in ${home.dir}: ${left.join(", ")}.`] : []),
            ...(stacks.length > 0
                ? [
                      `Stacks that used it: ${stacks.join(", ")}. Set their carbon:gpu to off and carbon:llm to service, and deploy them.`,
                  ]
                : []),
        ].join("\n"),
        { removed: there, left, stacks },
    );
};

const rotate: Handler<unknown> = async (session) => {
    ensureAnswerable(session, "gpu rotate");
    const host = await installedHost(session);
    const { running } = await askGateway(host.home, host.config);
    session.output.note(
        `A new token: the workspace has to learn it, and the gateway starts anew.${describeRunning(running.length)}`,
    );
    await confirm(session, "Renew the token?");
    for (const secret of hostSecrets(host.config)) {
        renewSecret(host.home, secret);
    }
    await startHost(session, host, { anew: true });
    const stacks = Object.keys(host.config.workspaces);
    session.output.result(
        `The token is new. Hand it to the workspace: ${stacks.map((stack) => pc.bold(`./carbon up${stackFlag(stack)}`)).join(", ")}`,
        { rotated: true, stacks },
    );
};

const status: Handler<unknown> = async (session) => {
    const home = hostHome();
    const [machine, runner] = await Promise.all([hostMachine(), hostRunner(home)]);
    const config = readConfig(home);
    if (!config) {
        session.output.result(
            `No kernels are installed on this machine (${machine.title}). Type: ./carbon gpu install${session.stackFlag()}`,
            { installed: false, machine: machine.kind },
        );
        return exitCodes.failure;
    }
    const [answer, isRunning] = await Promise.all([askGateway(home, config), runner.isRunning()]);
    const { environments } = pins.machines[machine.kind];
    const kernels = config.kernels.map((name) => ({
        name,
        gives: environments[name]?.gives ?? "",
        installed: isInstalled(home, name),
        current: isCurrent(home, machine.kind, name),
        running: answer.running.filter((kernel) => kernel.name === name).length,
    }));
    const states = processStates(home);
    const programs = config.programs.map(({ name, port }) => ({
        name,
        url: `http://${config.address}:${port}`,
        pid: isRunning ? (states[name]?.pid ?? undefined) : undefined,
        restarts: states[name]?.restarts ?? 0,
    }));
    const hasKernels = kernels.length > 0;
    const well =
        (!hasKernels || isWell(answer)) &&
        kernels.every(({ installed }) => installed) &&
        programs.every(({ pid }) => pid !== undefined);
    const url = gatewayUrl(config);
    const rows = kernels.map(({ name, gives, installed, current, running }) => [
        name,
        installed
            ? { text: current ? "installed" : "outdated", colour: current ? pc.green : pc.yellow }
            : { text: "missing", colour: pc.red },
        String(running),
        gives,
    ]);
    session.output.result(
        [
            `${well ? pc.green("✓") : pc.red("✗")} ${isRunning ? "runs" : "does not run"} as a ${runner.title}; logs: ${inHome(home, "logs")}`,
            ...(hasKernels
                ? [
                      `  gateway: ${answer.answers ? "answers" : "does not answer"} on ${url}${answer.reason ? `: ${printableLine(answer.reason)}` : ""}`,
                  ]
                : []),
            ...programs.map(
                ({ name, url, pid, restarts }) =>
                    `  ${name}: ${pid ? `runs (process ${pid}) on ${url}` : "does not run"}${restarts > 0 ? `, started again ${plural(restarts, "time")}` : ""}`,
            ),
            `  machine: ${machine.title}${machine.nvidia ? `, ${printableLine(machine.nvidia)}` : ""}`,
            ...Object.entries(config.workspaces).map(
                ([stack, folder]) => `  /workspace of ${stack}: ${printableLine(folder)}`,
            ),
            ...(hasKernels
                ? ["", renderTable(["Kernel", "State", "Running", "What it is"], rows, session.width)]
                : []),
            ...(isRunning ? [] : ["", "Type: ./carbon gpu start"]),
            ...(kernels.some(({ current }) => !current) ? ["", "Type: ./carbon gpu upgrade"] : []),
        ].join("\n"),
        {
            installed: true,
            machine: machine.kind,
            nvidia: machine.nvidia,
            home: home.dir,
            runner: runner.kind,
            isRunning,
            url,
            answers: answer.answers,
            guarded: answer.guarded,
            reason: answer.reason,
            kernels,
            programs,
            workspaces: config.workspaces,
        },
    );
    return well ? 0 : exitCodes.failure;
};
