import * as fs from "node:fs";
import { userInfo } from "node:os";
import { gatewayEnvironment, kernelNames, pins, usualKernels } from "../../host/environments";
import {
    ensureHome,
    type HostConfig,
    type HostHome,
    type HostSecret,
    hostHome,
    inHome,
    readConfig,
    readIfThere,
    readSecret,
    removeHome,
    renewSecret,
    writeConfig,
} from "../../host/home";
import { hostPrograms } from "../../host/llm";
import type { Settings } from "../../settings/parse";
import { confirm } from "../confirm";
import { Interrupted, UserError } from "../errors";
import { plural } from "../output";
import { whyNotFree } from "../preflight/ports";
import { printableLine } from "../printable";
import type { Session } from "../session";
import { askGateway, awaitGateway, gatewayUrl, isWell } from "./api";
import {
    installEnvironments,
    isCurrent,
    isInstalled,
    otherKernels,
    removeEnvironment,
    removeKernel,
} from "./install";
import { engineFacts, gatewayAddress, type HostMachine, hostMachine } from "./machine";
import { hasCurrentSupervisor, hostProcesses, isListedAsIs, writeProcesses } from "./processes";
import { hostRunner, type Runner } from "./runners";

/** What a command asks for. */
export interface HostWishes {
    /** Kernels; when absent those that are there already, or, where the settings want none for a server alone, the usual ones. */
    kernels?: string[];
    /** A Python to make environments with. */
    python?: string;
    /** True to make the kernels' environments anew, though they are as pinned: what a user has installed there goes. */
    anew?: boolean;
}

/** What of a stack's settings concerns this machine's side. */
export type HostSettings = Pick<
    Settings,
    "gpu" | "gpuPort" | "stack" | "workspaceDir" | "llm" | "llmUrl" | "llmHostPort" | "llmModel"
>;

/** What is to be there for a stack. */
export interface HostPlan {
    home: HostHome;
    machine: HostMachine;
    runner: Runner;
    config: HostConfig;
    /** What is there now. */
    before?: HostConfig;
}

/**
 * What the stack's settings come to on this machine. Nothing is changed.
 *
 * @throws UserError or HostError where it cannot be had here.
 */
export async function planHost(
    settings: HostSettings,
    { kernels }: Pick<HostWishes, "kernels"> = {},
): Promise<HostPlan> {
    const home = hostHome();
    const [machine, facts, runner] = await Promise.all([hostMachine(), engineFacts(), hostRunner(home)]);
    const before = readConfig(home);
    const programs = hostPrograms(settings);
    const serverAlone = settings.gpu !== "host" && programs.length > 0;
    const present = before && before.kernels.length > 0 ? before.kernels : undefined;
    const usual = serverAlone ? [] : usualKernels(machine.kind);
    const config: HostConfig = {
        schema: 1,
        machine: machine.kind,
        address: gatewayAddress(process.platform, facts),
        port: settings.gpuPort,
        workspaces: { ...before?.workspaces, [settings.stack]: settings.workspaceDir },
        kernels: checkedKernels(machine, kernels ?? present ?? usual),
        programs: [
            ...(before?.programs ?? []).filter(({ name }) => !programs.some((other) => other.name === name)),
            ...programs,
        ],
    };
    const others = Object.keys(before?.workspaces ?? {}).filter((stack) => stack !== settings.stack);
    const elsewhere = [
        { key: "gpuPort", what: "the gateway", wanted: config.port, present: before?.port },
        ...programs.map(({ name, port }) => ({
            key: "llmHostPort",
            what: `the server ${name}`,
            wanted: port,
            present: before?.programs.find((one) => one.name === name)?.port,
        })),
    ].find(({ wanted, present }) => present !== undefined && present !== wanted);
    if (others.length > 0 && elsewhere) {
        const { key, what, wanted, present } = elsewhere;
        throw new UserError(
            `carbon:${key} is ${wanted}, and ${what} of this machine is on ${present} for ${others.join(", ")}. It is one for all stacks: give them the same port, or type: ./carbon gpu uninstall`,
        );
    }
    const plan = { home, machine, runner, config, before };
    await ensurePortsFree(plan);
    return plan;
}

function checkedKernels({ kind, title }: HostMachine, names: readonly string[]): string[] {
    const allowed = kernelNames(kind);
    const unknown = names.find((name) => !allowed.includes(name));
    if (unknown) {
        throw new UserError(
            `There is no kernel ${JSON.stringify(unknown)} for this machine (${title}). Allowed: ${allowed.join(", ")}.`,
            2,
        );
    }
    return [...new Set(names)];
}

async function ensurePortsFree({ home, runner, config, before }: HostPlan): Promise<void> {
    const isRunning = await runner.isRunning();
    if (isRunning && !before) {
        // The list of what runs is lost; it is ended before anything starts.
        return;
    }
    const isSame = before?.address === config.address && isRunning;
    const own = isSame ? [before.port, ...before.programs.map(({ port }) => port)] : [];
    const wanted = [
        ...(config.kernels.length > 0 ? [{ port: config.port, key: "gpuPort" }] : []),
        ...config.programs.map(({ port }) => ({ port, key: "llmHostPort" })),
    ];
    for (const { port, key } of wanted.filter((one) => !own.includes(one.port))) {
        const problem = await whyNotFree(config.address, port);
        // A gateway that outlives its supervisor for a second is no stranger's.
        const isGateway = port === config.port && problem && (await askGateway(home, config)).answers;
        if (problem && !isGateway) {
            throw new UserError(
                `port ${port} (${key}) ${problem}. Type \`lsof -nP -iTCP:${port} -sTCP:LISTEN\` to see by what. Free it, or set carbon:${key}.`,
            );
        }
    }
}

/** What has to be installed for a plan, by name. */
export function missingEnvironments({ home, machine, config }: HostPlan): string[] {
    const wanted = [
        gatewayEnvironment,
        ...config.kernels,
        ...config.programs.map(({ environment }) => environment),
    ];
    return [...new Set(wanted)].filter((name) => !isCurrent(home, machine.kind, name));
}

/** Whether all is as planned, and answers. */
export async function isReady(plan: HostPlan): Promise<boolean> {
    const { home, config, before, runner } = plan;
    if (
        missingEnvironments(plan).length > 0 ||
        JSON.stringify(before) !== JSON.stringify(config) ||
        !isListedAsIs(home, config) ||
        !(await runner.isRunning())
    ) {
        return false;
    }
    return config.kernels.length === 0 || isWell(await askGateway(home, config));
}

/** What it means to have programs on this machine, on one screen. */
export function describeHost(
    { home, machine, runner, config }: HostPlan,
    missing: readonly string[],
): string {
    const { environments } = pins.machines[machine.kind];
    const named = missing.filter((name) => name in environments);
    const megabytes = named.reduce((sum, name) => sum + (environments[name]?.megabytes ?? 0), 0);
    const shown = machine.nvidia ? `${machine.title}, ${printableLine(machine.nvidia)}` : machine.title;
    return [
        `On this machine (${shown}), for the workspace in its container:`,
        ...(config.kernels.length > 0 ? describeKernels(home, config) : []),
        ...config.programs.map(
            ({ name, environment, port }) =>
                `  - The server ${name} (${environments[environment]?.gives}) runs as you. It listens on ${config.address}:${port} alone, and answers nobody without its key.`,
        ),
        ...(named.length > 0
            ? [
                  `  - Installed into ${home.dir}, up to ${megabytes} MB:`,
                  ...named.map((name) => `      ${name}: ${environments[name]?.gives}`),
              ]
            : []),
        `  - Started as a ${runner.title}${runner.files.length > 0 ? ` (${runner.files.join(", ")})` : ""}.`,
        "`./carbon gpu stop` stops it, `./carbon gpu uninstall` removes all of it.",
    ].join("\n");
}

function describeKernels(home: HostHome, { address, port }: HostConfig): string[] {
    return [
        `  - Kernels for notebooks and carbon-gpu. Code that you run on them runs as you (${userInfo().username}) on this machine. It sees your files, your keys and your network; no container is around it.`,
        `  - Whoever has the kernels' token can run such code: it lies in ${inHome(home, "token")}, for you alone, and in the workspace for its user and for root there. So trust what runs in the workspace as you trust yourself.`,
        `  - The kernels' gateway listens on ${address}:${port} alone, and answers nobody without the token.`,
    ];
}

/**
 * Installs what is missing of a plan and starts it, after one question where nothing was installed before.
 *
 * @returns what was installed.
 */
export async function carryOut(
    session: Session,
    plan: HostPlan,
    { python, anew = false }: HostWishes = {},
): Promise<string[]> {
    const { home, machine, config, before } = plan;
    const lost = [...otherKernels(home, config.kernels), ...(anew ? config.kernels : [])].filter((name) =>
        isInstalled(home, name),
    );
    const missing = [...new Set([...missingEnvironments(plan), ...(anew ? config.kernels : [])])];
    if (lost.length > 0) {
        session.output.note(
            `To be removed, with what you have installed into them: the environments ${lost.join(", ")}.`,
        );
    }
    if (bringsSomethingNew(plan)) {
        session.output.note(describeHost(plan, missing));
        await confirm(session, "Install and start this?");
    } else if (lost.length > 0) {
        await confirm(session, anew ? "Make the kernels anew?" : "Remove these kernels?");
    }
    ensureDisk(plan, missing);
    for (const name of anew ? config.kernels : []) {
        removeEnvironment(home, name);
    }
    ensureHome(home);
    const { output, signal } = session;
    const isOtherSupervisor = !hasCurrentSupervisor(home);
    await installEnvironments({ home, machine, output, signal, python }, missing, config.kernels);
    for (const name of otherKernels(home, config.kernels)) {
        removeKernel(home, name);
    }
    for (const secret of hostSecrets(config)) {
        if (!readSecret(home, secret)) {
            renewSecret(home, secret);
        }
    }
    writeConfig(home, config);
    const moved = !before || gatewayUrl(before) !== gatewayUrl(config);
    await startHost(session, plan, {
        anew: moved || isOtherSupervisor || missing.includes(gatewayEnvironment),
    });
    return missing;
}

/** What the servers here want to see. */
export function hostSecrets({ programs }: Pick<HostConfig, "programs">): HostSecret[] {
    return ["token", ...(programs.length > 0 ? (["llm-key"] as const) : [])];
}

/** What a user has said yes to is not asked again. */
function bringsSomethingNew({ config, before }: HostPlan): boolean {
    const known = before?.programs.map(({ name }) => name) ?? [];
    return (
        !before ||
        (before.kernels.length === 0 && config.kernels.length > 0) ||
        config.programs.some(({ name }) => !known.includes(name))
    );
}

function ensureDisk({ home, machine }: HostPlan, missing: readonly string[]): void {
    const { environments } = pins.machines[machine.kind];
    // What is downloaded lies beside what is unpacked until all is there.
    const needed = missing.reduce((sum, name) => sum + (environments[name]?.megabytes ?? 100) * 1.5, 0);
    let place = home.dir;
    while (!fs.existsSync(place)) {
        place = inHome({ dir: place, chosen: false }, "..");
    }
    const { bavail, bsize } = fs.statfsSync(place);
    const free = Math.floor((bavail * bsize) / 1e6);
    if (needed > free) {
        throw new UserError(
            `The kernels take ${Math.ceil(needed)} MB while they are installed, and ${free} MB are free at ${place}. Make room, or install fewer: ./carbon gpu install --kernel <name>`,
        );
    }
}

/**
 * Starts what is installed, and waits until the gateway answers.
 *
 * @param anew Whether what runs already is ended first.
 */
export async function startHost(
    session: Session,
    { home, runner, config }: Pick<HostPlan, "home" | "runner" | "config">,
    { anew = false }: { anew?: boolean } = {},
): Promise<void> {
    if (anew) {
        await runner.stop();
    }
    writeProcesses(home, hostProcesses(home, config));
    await runner.start();
    if (config.kernels.length === 0) {
        return;
    }
    const answer = await awaitGateway(home, config, { seconds: 60, signal: session.signal });
    if (session.signal.aborted) {
        throw new Interrupted();
    }
    if (!isWell(answer)) {
        throw new UserError(
            `The gateway is not as it should be on ${gatewayUrl(config)}: ${answer.reason}. Its log ends with:\n${lastLines(home, "gateway")}`,
        );
    }
}

/** The end of a log. */
function lastLines(home: HostHome, name: string): string {
    const text = readIfThere(inHome(home, "logs", `${name}.log`)) ?? "";
    const lines = text.trimEnd().split("\n").slice(-5);
    return lines.map((line) => `    ${printableLine(line)}`).join("\n");
}

/** What is installed here. */
export interface InstalledHost {
    home: HostHome;
    config: HostConfig;
    runner: Runner;
}

/**
 * What is installed here.
 *
 * @throws UserError where nothing is.
 */
export async function installedHost(session: Session): Promise<InstalledHost> {
    const home = hostHome();
    const config = readConfig(home);
    if (!config) {
        throw new UserError(
            `No kernels are installed on this machine. Type: ./carbon gpu install${session.stackFlag()}`,
        );
    }
    return { home, config, runner: await hostRunner(home) };
}

/**
 * Ends and removes everything.
 *
 * @returns names of what lay in the folder and is somebody else's.
 */
export async function uninstallHost(): Promise<string[]> {
    const home = hostHome();
    await (await hostRunner(home)).stop();
    return removeHome(home);
}

/** Words for the kernels that a restart ends. */
export function describeRunning(count: number): string {
    return count === 0 ? "" : ` ${plural(count, "kernel")} that run now will end.`;
}

/** Whether the stack's settings want something on this machine. */
export function wantsHost(settings: HostSettings): boolean {
    return settings.gpu === "host" || hostPrograms(settings).length > 0;
}

/** For `up`: sees to the host's side where the stack's settings want it. */
export async function ensureHost(session: Session, settings: HostSettings): Promise<void> {
    if (!wantsHost(settings)) {
        return;
    }
    const plan = await planHost(settings);
    if (!(await isReady(plan))) {
        await carryOut(session, plan);
        const { address, kernels, programs } = plan.config;
        const what = [...kernels, ...programs.map(({ name }) => `the server ${name}`)].join(", ");
        session.output.note(`Ready on this machine (${address}): ${what}.`);
    }
}
