import * as path from "node:path";
import { z } from "zod";
import { workspace } from "../../catalogue";
import { llm } from "../../catalogue/llm";
import { containerName } from "../../catalogue/names";
import { fillIn } from "../../catalogue/urls";
import { torchKernel } from "../../host/environments";
import { hostHome } from "../../host/home";
import type { Settings } from "../../settings/parse";
import { lines } from "../docker";
import { parseDocument } from "../documents";
import { messageOf, UserError } from "../errors";
import { kernelPython } from "../host/processes";
import { run } from "../process";

const hostProbes = path.join(__dirname, "..", "..", "verify", "probes");
const workspaceProbes = "/usr/local/lib/carbon/verify/probes";
const workspacePython = "/opt/carbon/venv/bin/python";
const limit = 300_000;
const longest = 1_000_000;

const word = z.string().max(300);
const positive = z.number().positive().finite();
const result = z.object({ size: word, seconds: positive, rounds: z.int().positive() });
const report = z.object({
    device: word,
    name: word,
    threads: z.int().positive(),
    versions: z.record(word, word),
    system: word,
    results: z.record(word, result),
});
const tokenReport = z
    .array(
        z.union([
            z.object({ address: word, model: word, tokens: z.int().positive(), seconds: positive }),
            z.object({ address: word, error: z.string().max(2_000) }),
        ]),
    )
    .max(10);

/** PyTorch on one device, or why it was not measured. */
export type Run = { route: string; where: string } & (z.infer<typeof report> | { error: string });

/** How much faster a route is than the container's CPU. */
export interface Ratio {
    measurement: string;
    size: string;
    route: string;
    /** Seconds on the container's CPU, and by the route. */
    seconds: [number, number];
    /** Above 1 where the route is faster. */
    ratio: number;
}

/** What `carbon verify --compare` writes. Figures of one machine at one time, and nothing else. */
export interface Comparison {
    schema: 1;
    stack: string;
    /** ISO 8601. */
    time: string;
    machine: { platform: string; arch: string; gpu: string };
    runs: Run[];
    tokens: z.infer<typeof tokenReport>;
    ratios: Ratio[];
}

/** What every other route is compared with. */
export const baseRoute = "container CPU";

/** Measures the container's CPU and each route to a GPU, one after the other, so that none disturbs another. */
export async function compare(
    stack: string,
    settings: Pick<Settings, "gpu" | "services">,
    { signal, say }: { signal: AbortSignal; say: (line: string) => void },
): Promise<Comparison> {
    const runs: Run[] = [];
    for (const { route, where, command, args } of measuredRoutes(stack, settings)) {
        say(`Measuring: ${route} (${where}).`);
        runs.push({ route, where, ...(await measured(command, args, signal)) });
    }
    say("Measuring: tokens per second.");
    return {
        schema: 1,
        stack,
        time: new Date().toISOString(),
        machine: { platform: process.platform, arch: process.arch, gpu: settings.gpu },
        runs,
        tokens: await tokensPerSecond(stack, settings, signal),
        ratios: ratiosOf(runs),
    };
}

interface MeasuredRoute {
    route: string;
    where: string;
    command: string;
    args: string[];
}

/** Vulkan is none of them: PyTorch does not use it. */
function measuredRoutes(stack: string, { gpu }: Pick<Settings, "gpu">): MeasuredRoute[] {
    const inside = (route: string, device: string): MeasuredRoute => ({
        route,
        where: "workspace",
        command: "docker",
        args: [
            ...["exec", "--user", "carbon", containerName(stack, workspace.name), workspacePython],
            ...["-I", "-B", `${workspaceProbes}/compare_probe.py`, device],
        ],
    });
    const kernel = torchKernel(process.platform === "darwin");
    const python = kernelPython(hostHome(), kernel);
    return [
        inside(baseRoute, "cpu"),
        ...(gpu === "nvidia" ? [inside("nvidia", "cuda")] : []),
        ...(python
            ? [
                  {
                      route: "host",
                      where: kernel,
                      command: python,
                      args: ["-I", "-B", path.join(hostProbes, "compare_probe.py"), "gpu"],
                  },
              ]
            : []),
    ];
}

async function measured(command: string, args: string[], signal: AbortSignal) {
    const ended = await run(command, args, { timeout: limit, maxBuffer: longest, cancelSignal: signal });
    if (ended.exitCode !== 0) {
        return { error: ended.reason };
    }
    try {
        return parseDocument("What was measured", report, lines(ended.stdout).at(-1) ?? "", "");
    } catch (error) {
        return { error: messageOf(error).trim() };
    }
}

/** Of the server in the stack, where one runs, and of the address that the workspace's programs use. */
async function tokensPerSecond(
    stack: string,
    { services }: Pick<Settings, "services">,
    signal: AbortSignal,
): Promise<Comparison["tokens"]> {
    const container = containerName(stack, workspace.name);
    const chosen = await run("docker", ["exec", container, "printenv", "OPENAI_BASE_URL", "CARBON_LLM_URL"], {
        timeout: 20_000,
        maxBuffer: longest,
        cancelSignal: signal,
    });
    const own = services
        .filter(({ name }) => name === llm.name)
        .flatMap(({ name, ports: [port] }) => (port ? [fillIn(port.url, name, port.port)] : []));
    const addresses = [...new Set([...own, ...lines(chosen.stdout)])];
    if (addresses.length === 0) {
        return [];
    }
    const ended = await run(
        "docker",
        [
            ...["exec", "--user", "carbon", container, "/usr/bin/python3", "-I", "-B"],
            ...[`${workspaceProbes}/tokens_probe.py`, ...addresses],
        ],
        { timeout: 2 * limit, maxBuffer: longest, cancelSignal: signal },
    );
    if (ended.exitCode !== 0) {
        return addresses.map((address) => ({ address, error: ended.reason }));
    }
    const advice = "`./carbon up` makes the workspace anew.";
    return parseDocument(
        "What the workspace has measured",
        tokenReport,
        lines(ended.stdout).at(-1) ?? "",
        advice,
    );
}

/** Each measurement of each route against the same one, of the same size, on the container's CPU. */
export function ratiosOf(runs: readonly Run[]): Ratio[] {
    const base = runs.find(({ route }) => route === baseRoute);
    if (!base || "error" in base) {
        return [];
    }
    return runs.flatMap((other) =>
        other === base || "error" in other
            ? []
            : Object.entries(other.results).flatMap(([measurement, { size, seconds }]): Ratio[] => {
                  const against = base.results[measurement];
                  return against?.size === size
                      ? [
                            {
                                measurement,
                                size,
                                route: `${other.route} (${other.device})`,
                                seconds: [against.seconds, seconds],
                                ratio: against.seconds / seconds,
                            },
                        ]
                      : [];
              }),
    );
}

/** @throws UserError where nothing at all was measured. */
export function ensureMeasured({ runs, tokens }: Comparison): void {
    const all = [...runs, ...tokens];
    if (all.every((one) => "error" in one)) {
        const reasons = all.map((one) => ("error" in one ? one.error : ""));
        throw new UserError(`Nothing could be measured: ${reasons.join("; ")}`);
    }
}
