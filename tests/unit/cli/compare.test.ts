import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Comparison, type Run, ratiosOf } from "../../../cli/checks/compare";
import { comparisonPicture } from "../../../cli/checks/comparisonViews";
import { container, healthyDocker, type Rule, running, type Sandbox, sandbox } from "./harness";

const report = (device: string, matrix: number) => ({
    device,
    name: "x",
    threads: 2,
    versions: { torch: "2.15.0", python: "3.13.5" },
    system: "Linux x86_64",
    results: {
        "matrix product": { size: "2048 x 2048", seconds: matrix, rounds: 9 },
        "training step": { size: "batch of 64, 8 x 8", seconds: 0.002, rounds: 9 },
    },
});
const tokens = [{ address: "http://llm:8001/v1", model: "tiny", tokens: 64, seconds: 4 }];
const inWorkspace =
    "^exec --user carbon carbon-dev-workspace /opt/carbon/venv/bin/python -I -B .*compare_probe.py";

function box(...rules: Rule[]): Sandbox {
    const made = sandbox();
    made.install("docker", [
        ...running(container("workspace")),
        ...rules,
        { match: `${inWorkspace} cpu$`, stdout: `${JSON.stringify(report("cpu", 0.2))}\n` },
        { match: "printenv OPENAI_BASE_URL CARBON_LLM_URL$", stdout: "http://llm:8001/v1\n" },
        { match: "tokens_probe.py http://llm:8001/v1$", stdout: JSON.stringify(tokens) },
        ...healthyDocker,
    ]);
    return made;
}

/** An environment of `carbon gpu` whose interpreter prints this. */
function hostTorch({ dir }: Sandbox, said: unknown): Record<string, string> {
    const python = join(
        dir,
        "gpu/envs",
        process.platform === "darwin" ? "mac-torch" : "host-torch",
        "bin/python",
    );
    mkdirSync(join(python, ".."), { recursive: true });
    writeFileSync(python, `#!/bin/sh\necho '${JSON.stringify(said)}'\n`);
    chmodSync(python, 0o755);
    return { CARBON_GPU_HOME: join(dir, "gpu") };
}

describe("verify --compare", () => {
    it("measures each route, prints the ratios with sizes and versions, and writes figures and a picture", async () => {
        const made = box();
        const env = hostTorch(made, report("mps", 0.02));
        const { exitCode, stdout } = await made.carbon(["verify", "--compare"], env);
        expect(exitCode).toBe(0);
        expect(stdout).toMatch(/container CPU \(cpu\) +matrix product, 2048 x 2048 +200\.0 ms/);
        expect(stdout).toMatch(/host \(mps\) +matrix product, 2048 x 2048 +20\.0 ms +10\.00/);
        expect(stdout).toMatch(/host \(mps\) +training step, .* +2\.00 ms +1\.00/);
        expect(stdout).toMatch(/http:\/\/llm:8001\/v1 +tokens, tiny +16\.0 per s/);
        expect(stdout).toContain("host: torch 2.15.0, python 3.13.5, Linux x86_64, 2 threads");
        const written = JSON.parse(readFileSync(join(made.dir, ".carbon/compare-dev.json"), "utf8"));
        expect(written).toMatchObject({
            schema: 1,
            stack: "dev",
            tokens,
            ratios: [{ ratio: 10 }, { ratio: 1 }],
        });
        expect(readFileSync(join(made.dir, ".carbon/compare-dev.svg"), "utf8")).toContain(">10.00</text>");
    });

    it("measures NVIDIA's in the workspace where the stack has it", async () => {
        const made = box({ match: `${inWorkspace} cuda$`, stdout: JSON.stringify(report("cuda", 0.001)) });
        made.configure({
            gpu: "nvidia",
            platforms: ["linux/amd64"],
            services: [],
            toolsets: [],
            compute: false,
        });
        const { stdout } = await made.carbon(["verify", "--compare", made.dir, "--json"]);
        expect(JSON.parse(stdout).ratios[0]).toMatchObject({ route: "nvidia (cuda)", ratio: 200 });
        expect(existsSync(join(made.dir, "compare-dev.json"))).toBe(true);
    });

    it("says that there was nothing to compare with, and why a route was not measured", async () => {
        const alone = await box().carbon(["verify", "--compare"], { CARBON_GPU_HOME: "/nowhere" });
        expect(alone.exitCode).toBe(0);
        expect(alone.stdout).toContain("No route to a GPU was there to compare the container CPU with.");
        const made = box();
        const { stdout } = await made.carbon(["verify", "--compare"], hostTorch(made, { device: "mps" }));
        expect(stdout).toMatch(/host +\S+ +not measured +What was measured has another shape/);
    });

    it("fails where nothing at all was measured, and where it is to check as well", async () => {
        const made = box(
            { match: "compare_probe", stderr: "no python\n", code: 127 },
            { match: "printenv", code: 1 },
        );
        expect(await made.carbon(["verify", "--compare"], { CARBON_GPU_HOME: "/nowhere" })).toMatchObject({
            exitCode: 1,
            stderr: expect.stringContaining("Nothing could be measured: no python"),
        });
        expect(await made.carbon(["verify", "--compare", "--only", "ssh"])).toMatchObject({
            exitCode: 2,
            stderr: expect.stringContaining("leave out --only"),
        });
    });
});

describe("ratios", () => {
    const run = (route: string, seconds: number): Run => ({ route, where: "w", ...report("cpu", seconds) });

    it("are of the same measurement and size alone", () => {
        const other = run("host", 0.1);
        if ("results" in other) {
            other.results["matrix product"] = { size: "512 x 512", seconds: 0.1, rounds: 3 };
        }
        const ratios = ratiosOf([run("container CPU", 0.2), other]);
        expect(ratios.map(({ measurement }) => measurement)).toEqual(["training step"]);
    });

    it("are none where the container's CPU was not measured", () => {
        expect(ratiosOf([{ route: "container CPU", where: "w", error: "x" }, run("host", 1)])).toEqual([]);
    });

    it("are a picture that a parser takes, whatever the probes call themselves", () => {
        const strange = { ...run("host", 0.1), versions: { torch: '<script>"&' } } as Run;
        const runs = [run("container CPU", 0.2), strange];
        const comparison = { stack: "dev", time: "2026-01-01T00:00:00Z", runs, ratios: ratiosOf(runs) };
        const picture = comparisonPicture(comparison as Comparison);
        const names =
            "import sys, xml.etree.ElementTree as tree; print(len(tree.parse(sys.stdin).findall('.//{*}rect')))";
        expect(execFileSync("python3", ["-c", names], { input: picture, encoding: "utf8" }).trim()).toBe("3");
        expect(picture).not.toContain("<script>");
    });
});
