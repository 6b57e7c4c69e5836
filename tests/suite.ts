// What `make test`, `make acceptance` and `make machines` run, in order, once the machine is set up (scripts/suite.sh):
// `tsx tests/suite.ts test|acceptance|machines`. It ends with the names of what failed or passed when it was run once more
// (`failed: NAME`, `flaky: NAME`), and the sums of all parts: `N passed, N failed, N skipped`.
import { type StdioOptions, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const stack = process.env.STACK || "dev";
const isCi = process.env.CI === "true";
/** Where no Docker Engine can be had: what needs one is only counted. */
const onlyListed = process.env.CARBON_TEST_LIST === "1";
const folder = mkdtempSync(join(tmpdir(), "carbon-suite-"));
process.once("exit", () => rmSync(folder, { recursive: true }));
const counts = join(folder, "counts");

/**
 * Runs a part of the suite and shows what it says. One that adds no counts of its own is one check; an error that no
 * count tells of has failed once.
 */
function part(command: string, args: readonly string[], env: Record<string, string> = {}): void {
    const before = readCounts().length;
    const line = [command, ...args].join(" ");
    console.log(`── ${line}`);
    const { status } = execute(command, args, ["ignore", "inherit", "inherit"], env);
    const added = readCounts().slice(before);
    if (status !== 0 && added.every(([, failed]) => failed === 0)) {
        addFailure(line);
    } else if (added.length === 0) {
        addCounts(1, 0, 0);
    }
}

function execute(
    command: string,
    args: readonly string[],
    stdio: StdioOptions = ["ignore", "pipe", "inherit"],
    env: Record<string, string> = {},
) {
    return spawnSync(command, args, {
        stdio,
        encoding: "utf8",
        env: { ...process.env, ...env, CARBON_COUNTS: counts },
    });
}

function addCounts(passed: number, failed: number, skipped: number): void {
    writeFileSync(counts, `${passed} ${failed} ${skipped}\n`, { flag: "a" });
}

function addFailure(name: string): void {
    addCounts(0, 1, 0);
    writeFileSync(counts, `failed: ${name}\n`, { flag: "a" });
}

function readNames(): string[] {
    return readFileSync(counts, "utf8")
        .split("\n")
        .filter((line) => /^(failed|flaky): /.test(line));
}

function readCounts(): [passed: number, failed: number, skipped: number][] {
    return readFileSync(counts, "utf8")
        .split("\n")
        .filter((line) => /^\d/.test(line))
        .map((line) => {
            const [passed = 0, failed = 0, skipped = 0] = line.split(" ").map(Number);
            return [passed, failed, skipped];
        });
}

function vitest(projects: readonly string[], env: Record<string, string> = {}, ...flags: string[]): void {
    const chosen = projects.flatMap((project) => ["--project", project]);
    part("node_modules/.bin/vitest", ["run", ...chosen, ...flags], env);
}

/** The quick suite. What needs a Docker Engine follows what does not, see the groups in vitest.config.mts. */
function test(): void {
    const withoutDocker = ["static", "unit", "host"];
    const withDocker = ["engine", "image", "e2e"];
    if (!onlyListed) {
        vitest([...withoutDocker, ...withDocker]);
        return;
    }
    vitest(withoutDocker);
    console.log("No Docker Engine (the reason is above): the tests that need one are skipped.");
    // A name that no test has.
    vitest(withDocker, {}, "--testNamePattern", "(?!)");
}

/**
 * The large suite: the stack as users get it, on full images; then the tests of images and of their services on them.
 * Needs 65 GB of disk.
 *
 * The stack that STACK names is started, and removed together with its data; one that has data is not touched, except
 * with CI=true, where it can only be left over from an earlier run.
 */
function acceptance(): void {
    const remove = () => part("./carbon", ["down", "--stack", stack, "--volumes", "--yes"]);
    const volumes = execute("docker", ["volume", "ls", "--quiet", "--filter", `name=^carbon-${stack}-`]);
    if (volumes.stdout !== "") {
        if (!isCi) {
            console.log(
                `The stack ${stack} has data, and this suite would delete it. Choose another with STACK=name, or remove it: ./carbon down --stack ${stack} --volumes`,
            );
            addFailure(`the stack ${stack} has data`);
            return;
        }
        remove();
    }
    removeImages();
    saveDisk();
    part("./carbon", ["up", "--stack", stack, "--yes"]);
    const [base, compute] = [imageOf("postgres"), imageOf("workspace")];
    if (base && compute) {
        // The services run from the base image, the workspace from the compute image.
        const images = { CARBON_TEST_BASE_IMAGE: base, CARBON_TEST_COMPUTE_IMAGE: compute };
        // First, while the build cache is whole. `make test` has the others of these tests.
        vitest(["e2e"], { CARBON_E2E: "full" }, "tests/e2e/compute.test.ts");
        saveDisk();
        vitest(["image", "acceptance", "browser"], images);
    }
    remove();
}

/**
 * What other machines are for: stacks over several engines, as on machines of their own (a server, a Swarm, a registry
 * between both platforms), on the full images that CARBON_TEST_BASE_IMAGE and CARBON_TEST_COMPUTE_IMAGE name, or on slim
 * ones; and the slim image for the other platform, emulated. Needs root and Linux.
 */
function machines(): void {
    vitest(["machines"]);
    // The root image is made anew with the other platform, so this comes last: what is built on the old one is built again.
    vitest(["emulated"]);
}

/** The image that a container of the stack was made from; undefined where there is no such container. */
function imageOf(service: string): string | undefined {
    const name = `carbon-${stack}-${service}`;
    const { status, stdout } = execute("docker", ["inspect", "--format", "{{.Config.Image}}", name]);
    return status === 0 ? stdout.trim() : undefined;
}

/** On a CI machine nobody comes back to the build cache, and the disk may be small. */
function saveDisk(): void {
    if (isCi) {
        // --all: what an interrupted build has left counts as internal, and can be gigabytes.
        const args = ["builder", "prune", "--all", "--force", "--keep-storage=5GB"];
        console.log(execute("docker", args).stdout.trim().split("\n").at(-1));
    }
}

/** Nor to images that the quick suite or an earlier run has left. */
function removeImages(): void {
    const list = execute("docker", [
        "image",
        "ls",
        "--quiet",
        "--filter",
        "reference=carbon/*",
        "--filter",
        "reference=localhost/carbon/*",
    ]);
    const ids = [...new Set(list.stdout.split("\n"))].filter((id) => id !== "");
    if (isCi && ids.length > 0) {
        // What cannot go, because a container uses it, is only disk that is not won.
        execute("docker", ["image", "rm", "--force", ...ids]);
    }
}

function main(suite: string | undefined): number {
    const run = { test, acceptance, machines }[suite ?? ""];
    if (!run) {
        console.error("usage: tsx tests/suite.ts test|acceptance|machines");
        return 2;
    }
    // A name, not a command, an option's value or a pattern.
    if (!/^[A-Za-z0-9_.-]+$/.test(stack)) {
        console.error(
            'STACK is no stack name: it has letters, digits, "_", "." and "-" only, such as STACK=dev.',
        );
        return 2;
    }
    writeFileSync(counts, "");
    run();
    const [passed, failed, skipped] = readCounts().reduce(
        (sum, line) => [sum[0] + line[0], sum[1] + line[1], sum[2] + line[2]],
        [0, 0, 0],
    );
    for (const line of readNames()) {
        console.log(line);
    }
    console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
    return failed === 0 ? 0 : 1;
}

process.exitCode = main(process.argv[2]);
