import { randomBytes } from "node:crypto";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { z } from "zod";
import { workspace } from "../../catalogue";
import { containerName } from "../../catalogue/names";
import { type HostHome, inHome } from "../../host/home";
import { lines } from "../docker";
import { CheckFailed, type Outcome, type OutsideCheck, type Probe, passed, skipped } from "./check";

/** What a cell on the host's kernel is asked to print, as JSON in one line. */
const cell = `import json, platform, sys
try:
    proof = open(sys.argv[1]).read()
except OSError as error:
    proof = str(error)
print(json.dumps({"system": platform.system(), "machine": platform.machine(), "proof": proof}))`;

const answer = z.object({
    system: z.string().max(100),
    machine: z.string().max(100),
    proof: z.string().max(1_000),
});

/** Python's names of systems and processors, by Node.js'. */
const systems: Partial<Record<NodeJS.Platform, string>> = { darwin: "Darwin", linux: "Linux" };
/** Node.js for Intel runs on Apple Silicon, too. */
const machines: Record<string, string[]> = { arm64: ["arm64", "aarch64"], x64: ["x86_64", "arm64"] };

/**
 * From the workspace through the gateway to a kernel on this machine, and back.
 *
 * What a kernel says of its machine anybody can say. This machine is where a file lies that nobody but its user reads, and
 * no container has: whoever tells what is in it runs here, as that user.
 */
export function hostKernelCheck(stack: string, isAsked: boolean, home: HostHome): OutsideCheck {
    return {
        id: "host-kernel",
        expected: `a cell that runs on this machine (${systems[process.platform]}, ${process.arch})`,
        hint: "./carbon gpu status",
        limit: 90,
        async look(probe) {
            if (!isAsked) {
                return skipped("carbon:gpu is not host in this stack");
            }
            if (!existsSync(home.dir)) {
                throw new CheckFailed(`${home.dir} is missing`, "./carbon gpu install");
            }
            const file = inHome(home, `verify-${randomBytes(12).toString("hex")}`);
            const proof = randomBytes(24).toString("hex");
            writeFileSync(file, proof, { mode: 0o600, flag: "wx" });
            try {
                return await runCell(stack, file, proof, probe);
            } finally {
                rmSync(file, { force: true });
            }
        },
    };
}

async function runCell(stack: string, file: string, proof: string, probe: Probe): Promise<Outcome> {
    const container = containerName(stack, workspace.name);
    const { exitCode, stdout, stderr, reason } = await probe(
        "docker",
        ["exec", "--user", "carbon", container, "carbon-gpu", "python", "-c", cell, file],
        { maxBuffer: 1_000_000 },
    );
    if (exitCode !== 0) {
        throw new CheckFailed(
            `carbon-gpu in the workspace ended with ${exitCode}: ${lines(stderr).slice(-5).join(" ") || reason}`,
        );
    }
    const said = answer.safeParse(parsed(lines(stdout).at(-1) ?? "")).data;
    if (!said) {
        throw new CheckFailed("the cell printed something else than it was told to");
    }
    const claim = `the cell says ${said.system}, ${said.machine}`;
    if (said.proof !== proof) {
        throw new CheckFailed(
            `${claim}, but it does not run on this machine: it cannot read a file of yours`,
            `The gateway's kernels run elsewhere, in a container perhaps. Type: ./carbon gpu status`,
        );
    }
    if (said.system !== systems[process.platform] || !machines[process.arch]?.includes(said.machine)) {
        throw new CheckFailed(`${claim}; this machine is ${systems[process.platform]}, ${process.arch}`);
    }
    return passed(`${claim}, and reads a file that only this machine's user has`);
}

function parsed(line: string): unknown {
    try {
        return JSON.parse(line);
    } catch {
        return undefined;
    }
}
