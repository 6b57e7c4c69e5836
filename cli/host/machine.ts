import { isIPv4 } from "node:net";
import * as os from "node:os";
import { type MachineKind, machineKind, pins } from "../../host/environments";
import { UserError } from "../errors";
import { run } from "../process";

/** Settings that want nothing on this machine. */
const without = "To do without this machine, set carbon:gpu to off and carbon:llm to service.";

/** This machine, as far as kernels on it depend on it. */
export interface HostMachine {
    kind: MachineKind;
    title: string;
    /** What nvidia-smi says; absent where it does not answer. */
    nvidia?: string;
}

/**
 * What this machine is.
 *
 * @throws UserError where it can have no kernels.
 */
export async function hostMachine(): Promise<HostMachine> {
    const kind = await nativeKind();
    if (!kind) {
        throw new UserError(
            `Kernels beside Docker are there for Macs, and for Linux on x86-64 and arm64; this machine is ${process.platform} ${process.arch}. ${without}`,
        );
    }
    await ensureMacos(kind);
    const nvidia = process.platform === "linux" ? await nvidiaGpu() : undefined;
    return { kind, title: pins.machines[kind].title, ...(nvidia && { nvidia }) };
}

/** The kind of a machine, by the architecture of its own: Node.js for Intel runs on Apple Silicon, too, and calls it x64. */
export async function nativeKind(
    platform: string = process.platform,
    arch: string = process.arch,
): Promise<MachineKind | undefined> {
    const kind = machineKind(platform, arch);
    if (kind !== "intel-mac") {
        return kind;
    }
    const { stdout } = await run("sysctl", ["-n", "hw.optional.arm64"], { timeout: 5_000 });
    return stdout.trim() === "1" ? "apple-silicon" : kind;
}

async function ensureMacos(kind: MachineKind): Promise<void> {
    const { oldestMacos, title } = pins.machines[kind];
    if (!oldestMacos) {
        return;
    }
    const { stdout } = await run("sw_vers", ["-productVersion"], { timeout: 10_000 });
    if (Number.parseInt(stdout, 10) < Number.parseInt(oldestMacos, 10)) {
        throw new UserError(
            `macOS ${stdout.trim()} is too old for the kernels of an ${title}: they need ${oldestMacos} or later. ${without}`,
        );
    }
}

/** The first GPU of NVIDIA's and its driver, where nvidia-smi answers. */
export async function nvidiaGpu(): Promise<string | undefined> {
    const query = ["--query-gpu=name,driver_version", "--format=csv,noheader"];
    const { exitCode, stdout } = await run("nvidia-smi", query, { timeout: 10_000 });
    return exitCode === 0 ? stdout.trim().split("\n")[0] : undefined;
}

/** How the engine's containers reach this machine, as far as the Docker client knows. */
export interface EngineFacts {
    /** Address of the engine, such as `unix:///var/run/docker.sock`. */
    endpoint: string;
    /** As `docker info` has it. */
    operatingSystem?: string;
    rootless: boolean;
    /** Of Docker's default bridge; undefined where it has none. */
    bridge?: string;
}

/**
 * The address to listen on, so that containers reach this machine by the name host.docker.internal and as little else as
 * possible does: 127.0.0.1 where the engine lies in a machine of its own that hands connections on, else that of Docker's
 * bridge.
 *
 * @throws UserError where containers cannot reach this machine.
 */
export function gatewayAddress(platform: NodeJS.Platform, facts: EngineFacts): string {
    const { endpoint, operatingSystem = "", rootless, bridge } = facts;
    if (!/^(unix|npipe):/.test(endpoint)) {
        throw new UserError(
            `The Docker Engine is at ${endpoint}, on another machine: its containers do not reach kernels on this one. Deploy from that machine. ${without}`,
        );
    }
    if (platform === "darwin" || operatingSystem.includes("Docker Desktop")) {
        return "127.0.0.1";
    }
    if (rootless) {
        throw new UserError(
            `Docker runs rootless here: its containers do not reach this machine's own addresses. Use an engine that runs as root. ${without}`,
        );
    }
    if (!bridge) {
        throw new UserError(
            "Docker's network `bridge` has no address on this machine, at which its containers would reach it. Type `docker network inspect bridge`, and take `bridge: none` out of /etc/docker/daemon.json.",
        );
    }
    return bridge;
}

/** What the Docker client says of its engine; `CARBON_GPU_ADDRESS` stands for the bridge's address, where there is none. */
export async function engineFacts(env: NodeJS.ProcessEnv = process.env): Promise<EngineFacts> {
    if (env.CARBON_GPU_ADDRESS) {
        return { endpoint: "unix:", rootless: false, bridge: checkedAddress(env.CARBON_GPU_ADDRESS) };
    }
    const told = (...args: string[]) => run("docker", args, { timeout: 20_000 });
    const [context, info, bridge] = await Promise.all([
        env.DOCKER_HOST ?? told("context", "inspect", "--format", "{{.Endpoints.docker.Host}}"),
        told("info", "--format", "{{.OperatingSystem}}|{{json .SecurityOptions}}"),
        bridgeAddress(),
    ]);
    return {
        endpoint: typeof context === "string" ? context : context.stdout.trim() || "unix:",
        operatingSystem: info.stdout.split("|")[0],
        rootless: info.stdout.includes("name=rootless"),
        bridge,
    };
}

function checkedAddress(address: string): string {
    if (!isIPv4(address) || address === "0.0.0.0") {
        throw new UserError(
            `CARBON_GPU_ADDRESS is ${JSON.stringify(address)}. Allowed: one IPv4 address of this machine, not 0.0.0.0.`,
        );
    }
    return address;
}

/** This machine's address on Docker's default bridge; undefined where it has none. */
export async function bridgeAddress(): Promise<string | undefined> {
    const format = "{{range .IPAM.Config}}{{.Gateway}} {{end}}";
    const told = await run("docker", ["network", "inspect", "bridge", "--format", format], {
        timeout: 20_000,
    });
    // Docker leaves it out until the first container has run.
    const own = os.networkInterfaces().docker0?.find(({ family }) => family === "IPv4");
    return told.stdout.split(/\s+/).find((address) => isIPv4(address)) ?? own?.address;
}
