import { workspace } from "../../catalogue";
import type { Settings } from "../../settings/parse";
import { type DockerInfo, dockerInfo, serviceLabel, stackContainers } from "../docker";
import { formatBytes } from "../output";
import { freeDisk } from "../preflight/imageNeeds";
import { CheckFailed, type Outcome, type OutsideCheck, once, passed, skipped } from "./check";

/** The suite's own checklist of what Docker should have. With less most of it works, so that it is a warning. */
const wanted = { version: 23, memory: 8e9, cpus: 4, disk: 40e9, swap: 2e9 };

/** Where one raises what Docker has. */
const raise =
    process.platform === "darwin"
        ? "Docker Desktop, Settings, Resources"
        : "this machine itself is what Docker has";

/** Docker, and what it has of the machine. */
export function engineChecks(stack: string, settings: Settings | undefined): OutsideCheck[] {
    const info = once(dockerInfo);
    return [
        {
            id: "host-docker",
            expected: `an engine of version ${wanted.version} or newer`,
            hint: "./carbon doctor",
            look: async () => lookAtVersion(await info()),
        },
        {
            id: "host-memory",
            expected: `${formatBytes(wanted.memory)} or more for Docker`,
            hint: "./carbon doctor",
            look: async () => {
                const { MemTotal } = await info();
                return atLeast(MemTotal, wanted.memory, formatBytes, `for Docker`, "memory");
            },
        },
        {
            id: "host-cpus",
            expected: `${wanted.cpus} CPUs or more for Docker`,
            hint: "./carbon doctor",
            look: async () => {
                const { NCPU } = await info();
                return atLeast(NCPU, wanted.cpus, (count) => `${count} CPUs`, "for Docker", "CPUs");
            },
        },
        {
            id: "host-disk",
            expected: `${formatBytes(wanted.disk)} or more free where Docker keeps images`,
            hint: "docker system df",
            limit: 60,
            look: async () => {
                const free = settings && (await freeDisk(settings, await info()));
                return atLeast(free, wanted.disk, formatBytes, "free where Docker keeps images", "disk");
            },
        },
        {
            id: "host-swap",
            expected: `${formatBytes(wanted.swap)} or more of swap on Docker's machine`,
            hint: "./carbon doctor",
            look: (probe) => lookAtSwap(stack, probe),
        },
    ];
}

function lookAtVersion({ ServerVersion = "", OperatingSystem, Architecture }: DockerInfo): Outcome {
    const observed = `Docker ${ServerVersion} on ${OperatingSystem}, ${Architecture}`;
    if (Number.parseInt(ServerVersion, 10) < wanted.version) {
        throw new CheckFailed(observed, `Install version ${wanted.version} or later.`);
    }
    return passed(observed);
}

/** What the kernel of Docker's machine says, which a container shares. */
async function lookAtSwap(stack: string, probe: Parameters<OutsideCheck["look"]>[0]): Promise<Outcome> {
    const containers = await stackContainers(stack);
    const found = containers.find(
        ({ Config, State }) => Config.Labels[serviceLabel] === workspace.name && State.Status === "running",
    );
    if (!found) {
        return skipped("seen from the workspace, which does not run");
    }
    const { stdout } = await probe("docker", ["exec", found.Id, "cat", "/proc/meminfo"], {
        maxBuffer: 100_000,
    });
    const [, kibibytes] = /^SwapTotal:\s+(\d+) kB$/m.exec(stdout) ?? [];
    const bytes = kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
    return atLeast(bytes, wanted.swap, formatBytes, "of swap on Docker's machine", "swap");
}

function atLeast(
    found: number | undefined,
    least: number,
    format: (value: number) => string,
    what: string,
    name: string,
): Outcome {
    if (found === undefined) {
        return skipped("cannot be seen from here");
    }
    const isEnough = found >= least;
    return passed(
        `${format(found)} ${what}`,
        isEnough ? undefined : `The suite's checklist asks for ${format(least)} of ${name}; ${raise}.`,
    );
}
