import { chmodSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { checkGpu } from "../../../cli/preflight/gpu";
import { healthyDocker, healthyInfo, obedientPulumi, portOffset, type Rule, sandbox } from "./harness";

const elsewhere = { DOCKER_HOST: "tcp://192.0.2.1:2376" };
const imported: Rule = { match: "^import - localhost/carbon-probe:", stdout: "sha256:1\n" };
const removed: Rule = { match: "^image rm --force localhost/carbon-probe:" };
const started = (stderr: string): Rule => ({
    match: "^run .*--device /dev/dri/renderD128 ",
    stderr,
    code: 127,
});

/** What concerns the machine's own kernels. */
const own = {
    ...{ gpuPort: 9797, stack: "dev", workspaceDir: "/somewhere" },
    ...({ llm: "service", llmUrl: "", llmHostPort: 8011, llmModel: "auto" } as const),
};

/** A stack that is quick to look at. */
const plain = { portOffset, services: [], toolsets: ["graphics"], compute: false };

async function up(rules: Rule[], settings: Record<string, unknown>, env: Record<string, string> = elsewhere) {
    const box = sandbox();
    box.install("docker", [...rules, ...healthyDocker]);
    box.install("pulumi", obedientPulumi);
    box.configure({ ...plain, ...settings });
    const result = await box.carbon(["up", "--yes"], env);
    return { ...result, docker: box.commands("docker"), pulumi: box.commands("pulumi") };
}

describe("carbon:gpu dri", () => {
    it("is refused where the machine of the engine has no such device, and nothing is changed", async () => {
        const missing =
            'docker: Error response from daemon: error gathering device information while adding custom device "/dev/dri/renderD128": no such file or directory\n';
        const { exitCode, stderr, docker, pulumi } = await up([imported, started(missing), removed], {
            gpu: "dri",
        });
        expect(exitCode).toBe(1);
        expect(stderr).toContain("problem to solve first; nothing was changed:");
        expect(stderr).toContain("carbon:gpu is dri, but Docker's machine has no render node");
        expect(stderr).toContain("or set carbon:gpu to off.");
        expect(docker).toContainEqual(expect.stringMatching(removed.match));
        // Nothing is downloaded for it.
        expect(docker.find((call) => call.startsWith("run "))).toContain("--pull never --network none");
        expect(pulumi).not.toContainEqual(expect.stringMatching(/^up/));
    });

    it("goes on where the device is there, and the probe finds no program", async () => {
        const noProgram =
            'docker: Error response from daemon: failed to create task for container: exec: "/probe": stat /probe: no such file or directory\n';
        expect(await up([imported, started(noProgram), removed], { gpu: "dri" })).toMatchObject({
            exitCode: 0,
        });
    });

    it("goes on where the engine does not tell, as the check will", async () => {
        const rules = [{ match: "^import ", stderr: "import is disabled here\n", code: 1 }];
        const { exitCode, stderr } = await up(rules, { gpu: "dri" });
        expect(exitCode).toBe(0);
        expect(stderr).toContain("cannot be seen: import is disabled here. The check vulkan will tell.");
    });

    it.each([
        [["renderD128", "card0"], "ok", "renderD128"],
        [["card0"], "failure", "(only card0, which draw a screen)"],
        [[], "failure", "(nothing)"],
    ])("finds %j on this machine itself", async (names, status, detail) => {
        const folder = join(sandbox().dir, "dri");
        mkdirSync(folder);
        for (const name of names) {
            writeFileSync(join(folder, name), "");
        }
        const finding = await checkGpu({ gpu: "dri", ...own }, healthyInfo as never, {
            platform: "linux",
            folder,
        });
        expect(finding).toMatchObject({ status, detail: expect.stringContaining(detail) });
    });

    it("is refused without the toolset that has Vulkan's drivers", async () => {
        const { exitCode, stderr } = await up([], { gpu: "dri", toolsets: [] });
        expect(exitCode).toBe(1);
        expect(stderr).toContain('carbon:gpu = "dri": dri needs the toolset graphics');
    });
});

describe("carbon:gpu nvidia", () => {
    const cloud = { gpu: "nvidia", platforms: ["linux/amd64"] };
    const says = (info: Record<string, unknown>): Rule => ({
        match: "^info ",
        stdout: JSON.stringify({ ...healthyInfo, ...info }),
    });

    it("is refused without the runtime, with what to install", async () => {
        const { exitCode, stderr, pulumi } = await up([says({ Runtimes: { runc: {} } })], cloud);
        expect(exitCode).toBe(1);
        expect(stderr).toContain("carbon:gpu is nvidia, but Docker has no runtime nvidia.");
        expect(stderr).toContain("nvidia-container-toolkit");
        expect(pulumi).not.toContainEqual(expect.stringMatching(/^up/));
    });

    it("is refused on a machine of another architecture", async () => {
        const { stderr } = await up([says({ Architecture: "aarch64", Runtimes: { nvidia: {} } })], cloud);
        expect(stderr).toContain("Docker's machine is aarch64");
        expect(stderr).toContain("on a Mac to host");
    });

    it("goes on where Docker has the runtime", async () => {
        expect(await up([says({ Runtimes: { nvidia: {} } })], cloud)).toMatchObject({ exitCode: 0 });
    });

    it("is refused where the driver of this machine lists no GPU, and names those that it lists", async () => {
        const look = async (body: string) => {
            const { bin } = sandbox();
            writeFileSync(join(bin, "nvidia-smi"), `#!/bin/sh\n${body}\n`);
            chmodSync(join(bin, "nvidia-smi"), 0o755);
            const path = process.env.PATH;
            process.env.PATH = `${bin}:${path}`;
            try {
                const info = { ...healthyInfo, Runtimes: { nvidia: {} } };
                return await checkGpu({ gpu: "nvidia", ...own }, info as never, { platform: "linux" });
            } finally {
                process.env.PATH = path;
            }
        };
        expect(await look("echo no driver >&2; exit 9")).toMatchObject({
            status: "failure",
            detail: expect.stringContaining("lists no GPU: no driver"),
        });
        expect(await look("echo 'GPU 0: NVIDIA H100 (UUID: GPU-1)'")).toMatchObject({
            status: "ok",
            detail: "GPU 0: NVIDIA H100",
        });
    });

    it.each([
        [{ platforms: ["linux/arm64"] }, "gpu is nvidia, which linux/arm64 cannot use"],
        [
            { platforms: ["linux/amd64"], compute: true, toolsets: ["torch"] },
            "gpu is nvidia, which PyTorch's build of auto cannot use. Set torchIndex to cuda",
        ],
    ])("is refused with %j", async (settings, reason) => {
        const { exitCode, stderr } = await up([], { gpu: "nvidia", ...settings });
        expect(exitCode).toBe(1);
        expect(stderr).toContain(reason);
    });
});

describe("carbon:gpu host", () => {
    const rules: Rule[] = [
        { match: "^context inspect", stdout: "unix:///var/run/docker.sock\n" },
        { match: "^network inspect bridge", stdout: "127.0.0.1 \n" },
    ];
    const stack = { ...plain, toolsets: [], compute: true, gpu: "host", gpuPort: 9000 + portOffset };

    it.each([
        [
            rules,
            { DOCKER_HOST: "tcp://192.0.2.1:2376" },
            "The Docker Engine is at tcp://192.0.2.1:2376, on another machine",
        ],
        [
            [{ match: "^info --format .*OperatingSystem", stdout: 'Debian|["name=rootless"]\n' }, ...rules],
            {},
            "Docker runs rootless here",
        ],
    ])(
        "is refused before anything is touched where containers do not reach this machine",
        async (own, env, reason) => {
            const home = join(sandbox().dir, "home");
            const { exitCode, stderr } = await up([...own, ...healthyDocker], stack, {
                ...env,
                CARBON_GPU_HOME: home,
            });
            expect(exitCode).toBe(1);
            expect(stderr).toContain("nothing was changed:");
            expect(stderr).toContain(reason);
            expect(existsSync(home)).toBe(false);
        },
    );

    it("is refused where another program has the gateway's port", async () => {
        const box = sandbox();
        const gpuPort = await box.occupyPort();
        const env = { CARBON_GPU_HOME: join(box.dir, "home"), DOCKER_HOST: "unix:///var/run/docker.sock" };
        const { stderr } = await up([...rules, ...healthyDocker], { ...stack, gpuPort }, env);
        expect(stderr).toContain(
            `port ${gpuPort} (gpuPort) is taken by another program. Type \`lsof -nP -iTCP:${gpuPort} -sTCP:LISTEN\` to see by what. Free it, or set carbon:gpuPort.`,
        );
    });
});

it("looks at nothing where no GPU is passed in", async () => {
    expect(await checkGpu({ gpu: "off", ...own }, healthyInfo as never)).toBeUndefined();
});
