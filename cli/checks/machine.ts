import table from "../../verify/machines.json";
import { nativeKind, nvidiaGpu } from "../host/machine";

/** What can be expected of a machine: see verify/machines.py, which describes the table. */
export type MachineKind = keyof typeof table;

/** Whether a kind of machine has something: it must, it cannot, or nobody asked for it. */
export type Expectation = "required" | "impossible" | "off";

/** This machine, as the host's checks see it. */
export interface HostMachine {
    kind: MachineKind;
    /** The table's row. */
    title: string;
    /** Oldest macOS; undefined where it is no Mac. */
    macos?: string;
    expected: Record<"cuda" | "mps" | "tensorflow-metal" | "mlx", Expectation>;
}

/** What this machine is. A Linux machine on which nvidia-smi answers is one with NVIDIA's GPUs. */
export async function hostMachine(
    platform: string = process.platform,
    arch: string = process.arch,
): Promise<HostMachine> {
    const kind = (await nativeKind(platform, arch)) ?? "linux-amd64";
    const hasNvidia = kind.startsWith("linux") && (await nvidiaGpu()) !== undefined;
    return machineOf(hasNvidia ? "nvidia" : kind);
}

/** A row of the table as the host's checks read it. */
export function machineOf(kind: MachineKind): HostMachine {
    const row = table[kind] as Record<string, unknown>;
    const word = (name: string) => row[name] as Expectation;
    return {
        kind,
        title: String(row.title),
        macos: row.macos as string | undefined,
        expected: {
            cuda: word("cuda"),
            mps: word("mps"),
            "tensorflow-metal": word("tensorflow-metal"),
            mlx: word("mlx"),
        },
    };
}
