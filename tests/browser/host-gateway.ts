import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { freePort } from "../ports";

const root = join(__dirname, "../..");

/** The kernels that the tests install: Python alone, which is small. */
export const hostKernel = "host-python";

/** The gateway of kernels on this machine, as `./carbon gpu` has it, in a folder of the tests' own. */
export interface HostGateway {
    /** As containers know it. */
    url: string;
    /** The stack that it knows the workspace folder of. */
    stack: string;
    /** This machine's folder that is /workspace in the container. */
    workspace: string;
    /** What it wants to see now. */
    token(): string;
    /** Runs `./carbon gpu …`, which must succeed. */
    carbonGpu(...args: string[]): Promise<string>;
    /** Ids of the kernels that run. */
    running(): Promise<string[]>;
    /** Ends the gateway by force; what keeps it running starts it again. */
    kill(): Promise<void>;
    /** Ends and removes it. */
    remove(): Promise<void>;
}

/** Installs the gateway, and starts it on the address by which Docker's containers reach this machine. */
export async function startHostGateway(): Promise<HostGateway> {
    const folder = mkdtempSync(join(tmpdir(), "carbon-gateway-"));
    const [home, project] = [join(folder, "gpu"), join(folder, "project")];
    const workspace = join(project, "workspace");
    mkdirSync(workspace, { recursive: true });
    const port = await freePort();
    const config = { "carbon:gpu": "host", "carbon:gpuPort": port, "carbon:workspaceDir": "./workspace" };
    writeFileSync(join(project, "Pulumi.yaml"), readFileSync(join(root, "Pulumi.yaml")));
    writeFileSync(join(project, "Pulumi.dev.yaml"), JSON.stringify({ config }));

    const env = { CARBON_PROJECT_DIR: project, CARBON_GPU_HOME: home, NO_COLOR: "1" };
    const carbonGpu = async (...args: string[]) =>
        (await execa(join(root, "carbon"), ["gpu", ...args], { env, stdin: "ignore" })).stdout;
    await carbonGpu("install", "--kernel", hostKernel, "--yes");

    const { address } = JSON.parse(readFileSync(join(home, "config.json"), "utf8"));
    const token = () => readFileSync(join(home, "token"), "utf8").trim();
    return {
        url: `http://host.docker.internal:${port}`,
        stack: "dev",
        workspace,
        token,
        carbonGpu,
        running: async () => {
            const headers = { Authorization: `token ${token()}` };
            const answer = await fetch(`http://${address}:${port}/api/kernels`, { headers });
            return ((await answer.json()) as { id: string }[]).map(({ id }) => id);
        },
        kill: async () => {
            const state = JSON.parse(readFileSync(join(home, "run", "state.json"), "utf8"));
            process.kill(state.gateway.pid, "SIGKILL");
        },
        remove: async () => {
            await carbonGpu("uninstall", "--yes");
            rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
        },
    };
}
