import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
    container,
    healthyDocker,
    healthyInfo,
    obedientPulumi,
    running,
    sandbox,
    stackOutputs,
} from "./harness";

describe("outputs and credentials", () => {
    it("masks secrets in outputs unless asked", async () => {
        const box = sandbox();
        box.install("pulumi", obedientPulumi);
        const masked = await box.carbon(["outputs"]);
        expect(masked.stdout).toContain('credentials: "[secret]"');
        expect(masked.stdout).not.toContain("s3cret");
        const shown = await box.carbon(["outputs", "--show-secrets", "--json"]);
        expect(JSON.parse(shown.stdout).credentials.ssh).toEqual({ user: "carbon", password: "s3cret-ssh" });
    });

    it("shows every login", async () => {
        const box = sandbox();
        box.install("pulumi", obedientPulumi);
        const { stdout } = await box.carbon(["credentials"]);
        expect(stdout).toMatch(/^Shell \(SSH\) +carbon +s3cret-ssh$/m);
        expect(stdout).toMatch(/^JupyterLab +s3cret-jupyter$/m);
        expect(JSON.parse((await box.carbon(["credentials", "--json"])).stdout)).toEqual({
            ssh: { user: "carbon", password: "s3cret-ssh" },
            jupyter: { token: "s3cret-jupyter" },
        });
    });

    it("says that the stack is not deployed, and what to type", async () => {
        const box = sandbox();
        box.install("pulumi", [{ match: "^stack select ", code: 255 }, ...obedientPulumi]);
        expect(await box.carbon(["credentials"])).toMatchObject({
            exitCode: 1,
            stderr: "error: The stack dev is not deployed. Type: ./carbon up",
        });
    });
});

describe("status", () => {
    it("lists a service's containers in its place and by their number", async () => {
        const box = sandbox();
        const names = ["spark-worker-10", "llm", "spark-worker-2", "redis", "workspace"];
        box.install("docker", [...running(...names.map((name) => container(name))), ...healthyDocker]);
        const { services } = JSON.parse((await box.carbon(["status", "--json"])).stdout);
        expect(services.map(({ service }: { service: string }) => service)).toEqual([
            "workspace",
            "redis",
            "spark-worker-2",
            "spark-worker-10",
            "llm",
        ]);
    });

    it("exits 0 when every service is healthy, and says when the stack was deployed", async () => {
        const box = sandbox();
        const containers = ["workspace", "postgres", "redis", "mosquitto"].map((name) =>
            container(name, { "1/tcp": 41_000 }),
        );
        box.install("docker", [...running(...containers), ...healthyDocker]);
        const stacks = join(box.dir, ".carbon", "state", ".pulumi", "stacks", "carbon");
        mkdirSync(stacks, { recursive: true });
        const checkpoint = { latest: { manifest: { time: "2026-01-01T00:00:00Z" } } };
        writeFileSync(join(stacks, "dev.json"), JSON.stringify({ version: 3, checkpoint }));
        const { exitCode, stdout } = await box.carbon(["status"]);
        expect(exitCode).toBe(0);
        expect(stdout).toMatch(/^postgres +carbon-dev-postgres +running +healthy +\d+ \w+ +- +41000$/m);
        expect(stdout).toMatch(/^Last deployed .* ago \(2026-01-01T00:00:00Z\)\.$/m);
    });

    it.each([
        ["exited", { State: { Status: "exited", StartedAt: "", FinishedAt: "2026-01-01T00:00:00Z" } }],
        [
            "unhealthy",
            {
                State: {
                    Status: "running",
                    StartedAt: "2026-01-01T00:00:00Z",
                    FinishedAt: "",
                    Health: { Status: "unhealthy" },
                },
            },
        ],
        [
            "paused",
            {
                State: {
                    Status: "paused",
                    StartedAt: "2026-01-01T00:00:00Z",
                    FinishedAt: "",
                    Health: { Status: "healthy" },
                },
            },
        ],
    ])("exits 1 when a service is %s", async (word, state) => {
        const box = sandbox();
        const containers = [container("workspace"), container("postgres"), container("redis", {}, state)];
        box.install("docker", [...running(...containers), ...healthyDocker]);
        const { exitCode, stdout } = await box.carbon(["status"]);
        expect(exitCode).toBe(1);
        expect(stdout).toMatch(new RegExp(`^redis .*${word}`, "m"));
    });

    it("exits 1 when a service of the settings has no container", async () => {
        const box = sandbox();
        box.install("docker", [...running(container("workspace"), container("redis")), ...healthyDocker]);
        const { exitCode, stdout } = await box.carbon(["status"]);
        expect(exitCode).toBe(1);
        expect(stdout).toContain("postgres is not there. Type: ./carbon up");
    });

    it("says that the stack is not deployed, and what to type", async () => {
        const box = sandbox();
        box.install("docker", healthyDocker);
        expect(await box.carbon(["status"])).toMatchObject({
            exitCode: 1,
            stdout: "The stack dev is not deployed. Type: ./carbon up",
        });
    });
});

describe("verify", () => {
    it("runs the check in the workspace, shows what it found, and exits 1 when a check failed", async () => {
        const box = sandbox();
        const failed = {
            ...stackOutputs.verification,
            checks: [
                {
                    id: "ssh",
                    status: "FAIL",
                    expected: "a banner",
                    observed: "none",
                    seconds: 0,
                    hint: "see",
                },
                { id: "torch", status: "PASS", expected: "", observed: "2.15", seconds: 0, hint: "too big" },
            ],
        };
        box.install("docker", [
            ...running(container("workspace")),
            { match: "^exec ", stdout: JSON.stringify(failed), code: 1 },
            ...healthyDocker,
        ]);
        const { exitCode, stdout } = await box.carbon(["verify", "--only", "ssh,torch"]);
        expect(exitCode).toBe(1);
        expect(`\n${stdout}\n`).toMatchInlineSnapshot(`
          "
          Checking; this takes up to a minute.

          Check  Status  Observed
          ssh    FAIL    none
                         expected: a banner
                         hint: see
          torch  PASS    2.15
                         hint: too big

          1 pass, 1 fail
          "
        `);
        expect(box.commands("docker").at(-1)).toBe(
            "exec carbon-dev-workspace carbon-verify --json --only ssh,torch",
        );
        const { stdout: json } = await box.carbon(["verify", "--target", "container", "--json"]);
        expect(JSON.parse(json)).toEqual({
            ...failed,
            summary: { pass: 1, fail: 1, skip: 0, unsupported: 0 },
        });
    });

    it("passes on what the check says of a wrong --only, with the code for wrong usage", async () => {
        const box = sandbox();
        box.install("docker", [
            ...running(container("workspace")),
            { match: "^exec ", code: 2, stderr: "usage: …\ncarbon-verify: error: unknown: fridge\n" },
            ...healthyDocker,
        ]);
        expect(await box.carbon(["verify", "--only", "fridge"])).toMatchObject({
            exitCode: 2,
            stderr: "error: The check did not run: carbon-verify: error: unknown: fridge",
        });
    });

    describe("of every target", () => {
        const row = { status: "PASS", expected: "x", observed: "seen", seconds: 0.1, hint: "" };
        const said = (target: string, ...ids: string[]) =>
            JSON.stringify({ schema: 1, target, checks: ids.map((id) => ({ id, ...row })) });
        const rules = [
            ...running(container("workspace")),
            {
                match: "^exec .* carbon-verify --json --target end-to-end",
                stdout: said("end-to-end", "gateway"),
            },
            { match: "^exec .* carbon-verify ", stdout: said("workspace", "ssh") },
            { match: "^exec id-of-workspace cat /proc/meminfo$", stdout: "SwapTotal:  1048572 kB\n" },
            ...healthyDocker,
        ];

        it("is one document, and one file for build servers where asked", async () => {
            const box = sandbox();
            box.install("docker", rules);
            const file = join(box.dir, "report.xml");
            const { exitCode, stdout } = await box.carbon(["verify", "--json", "--junit", file]);
            expect(exitCode).toBe(0);
            const { target, checks, summary } = JSON.parse(stdout);
            expect(target).toBe("all");
            const ids: string[] = checks.map(({ id }: { id: string }) => id);
            expect(ids).toEqual(expect.arrayContaining(["ssh", "gateway", "host-docker", "host-kernel"]));
            expect(new Set(ids).size).toBe(ids.length);
            expect(summary.pass + summary.skip + summary.unsupported).toBe(checks.length);
            const xml = readFileSync(file, "utf8");
            for (const name of ["workspace", "host", "end-to-end"]) {
                expect(xml).toContain(`<testsuite name="${name}"`);
            }
        });

        it("warns of what Docker has less of than the suite's checklist asks for", async () => {
            const box = sandbox();
            box.install("docker", [
                { match: "^info ", stdout: JSON.stringify({ ...healthyInfo, NCPU: 2, MemTotal: 4e9 }) },
                ...rules,
            ]);
            const { exitCode, stdout } = await box.carbon(["verify", "--target", "host", "--json"]);
            expect(exitCode).toBe(0);
            const { target, checks } = JSON.parse(stdout);
            expect(target).toBe("host");
            const found = (id: string) => checks.find((check: { id: string }) => check.id === id);
            expect(found("host-cpus")).toMatchObject({
                status: "PASS",
                observed: "2 CPUs for Docker",
                hint: expect.stringContaining("asks for 4 CPUs"),
            });
            expect(found("host-memory")).toMatchObject({ observed: "4.0 GB for Docker" });
            expect(found("host-swap")).toMatchObject({ hint: expect.stringContaining("2.0 GB of swap") });
            expect(found("host-disk").observed).toContain("free where Docker keeps images");
            expect(box.commands("docker").some((call) => call.includes("carbon-verify"))).toBe(false);
        });

        it("needs no workspace for the host, and fails where Docker does not answer", async () => {
            const box = sandbox();
            box.install("docker", [{ match: "", stderr: "Cannot connect to the Docker daemon\n", code: 1 }]);
            const { exitCode, stdout } = await box.carbon([
                "verify",
                "--target",
                "host",
                "--only",
                "host-docker",
            ]);
            expect(exitCode).toBe(1);
            expect(stdout).toMatch(/host-docker {2}FAIL {4}.*Cannot connect/);
        });

        it.each([
            ["ssh", ["ssh"], "carbon-verify --json --only ssh"],
            ["gateway", ["gateway"], "carbon-verify --json --target end-to-end --only gateway"],
            ["host-cpus", ["host-cpus"], undefined],
            ["host-cpus, ssh", ["ssh", "host-cpus"], "carbon-verify --json --only ssh"],
        ])("runs with --only %s nothing else", async (only, ids, call) => {
            const box = sandbox();
            box.install("docker", rules);
            const { stdout } = await box.carbon(["verify", "--json", "--only", only]);
            const { checks } = JSON.parse(stdout);
            expect(checks.map(({ id }: { id: string }) => id)).toEqual(ids);
            const calls = box.commands("docker").filter((command) => command.includes("carbon-verify"));
            expect(calls).toEqual(call ? [`exec carbon-dev-workspace ${call}`] : []);
        });

        it("refuses a target and a check that do not exist, and a file that cannot be written", async () => {
            const box = sandbox();
            box.install("docker", rules);
            expect(await box.carbon(["verify", "--target", "moon"])).toMatchObject({ exitCode: 2 });
            expect(await box.carbon(["verify", "--target", "host", "--only", "ssh"])).toMatchObject({
                exitCode: 2,
                stderr: expect.stringContaining("The target host has no check ssh."),
            });
            const file = join(box.dir, "missing", "report.xml");
            expect(await box.carbon(["verify", "--target", "container", "--junit", file])).toMatchObject({
                exitCode: 1,
                stderr: expect.stringContaining(`--junit: ${file} cannot be written`),
            });
        });
    });

    it("compares system files from outside when asked, and leaves out what start-up scripts write", async () => {
        const verified = async (diff: string) => {
            const box = sandbox();
            box.install("docker", [
                ...running(container("workspace")),
                { match: "^exec ", stdout: JSON.stringify(stackOutputs.verification) },
                { match: "^diff id-of-workspace$", stdout: diff },
                ...healthyDocker,
            ]);
            const text = await box.carbon(["verify", "--target", "container", "--system-files"]);
            const { stdout } = await box.carbon([
                "verify",
                "--target",
                "container",
                "--system-files",
                "--json",
            ]);
            return { exitCode: text.exitCode, text: text.stdout, files: JSON.parse(stdout).systemFiles };
        };
        const own = "C /etc\nC /etc/passwd\nC /etc/environment\nA /run/x\nA /tmp/y\nC /var/log/z\n";
        const untouched = await verified(own);
        expect(untouched.files).toEqual({ changed: 0, first: [] });
        expect(untouched.text).toContain(
            "System files, compared from outside by size and time: as the image has them.",
        );

        const names = ["a", "b", "c", "d", "e", "f"].map((name) => `A /usr/local/bin/${name}`);
        const changed = await verified(
            `${own}C /usr\nC /usr/local\nC /usr/local/bin\nD /usr/bin/carbon-verify\n${names.join("\n")}\n`,
        );
        expect(changed.exitCode).toBe(0);
        expect(changed.files).toEqual({
            changed: 7,
            first: [
                "/usr/bin/carbon-verify",
                ...["a", "b", "c", "d"].map((name) => `/usr/local/bin/${name}`),
            ],
        });
        expect(changed.text).toContain("7 files changed since the image (/usr/bin/carbon-verify, ");
    });

    it("does not compare them unasked: that takes as long as everything else", async () => {
        const box = sandbox();
        box.install("docker", [
            ...running(container("workspace")),
            { match: "^exec ", stdout: JSON.stringify(stackOutputs.verification) },
            ...healthyDocker,
        ]);
        expect(await box.carbon(["verify", "--target", "container"])).toMatchObject({ exitCode: 0 });
        expect(box.commands("docker").some((command) => command.startsWith("diff "))).toBe(false);
    });

    it("says what the workspace is when it does not run", async () => {
        const box = sandbox();
        const stopped = container("workspace", {}, { State: { Status: "exited" } });
        box.install("docker", [...running(stopped), ...healthyDocker]);
        expect(await box.carbon(["verify", "--target", "container"])).toMatchObject({
            exitCode: 1,
            stderr: "error: The workspace is exited. Type: ./carbon start",
        });
    });
});

describe("logs", () => {
    it("puts the service's name in front of each line", async () => {
        const box = sandbox();
        box.install("docker", [
            ...running(container("workspace"), container("redis")),
            { match: "^logs .*id-of-redis$", stdout: "ready\n", stderr: "a warning\n" },
            { match: "^logs .*id-of-workspace$", stdout: "desktop up\n" },
            ...healthyDocker,
        ]);
        const { exitCode, stdout } = await box.carbon(["logs", "--tail", "5"]);
        expect(exitCode).toBe(0);
        expect(stdout.split("\n").sort()).toEqual([
            "redis     | a warning",
            "redis     | ready",
            "workspace | desktop up",
        ]);
        expect(box.commands("docker")).toContain("logs --tail 5 id-of-redis");
    });

    it("shows one service only when asked, and follows it", async () => {
        const box = sandbox();
        box.install("docker", [
            ...running(container("workspace"), container("redis")),
            { match: "^logs .*id-of-redis$", stdout: "ready\n" },
            ...healthyDocker,
        ]);
        const { stdout } = await box.carbon(["logs", "redis", "--follow"]);
        expect(stdout).toBe("redis | ready");
        expect(box.commands("docker")).toContain("logs --tail 200 --follow id-of-redis");
    });

    it.each([
        ["spark-worker", ["spark-worker-1 | one", "spark-worker-2 | two"]],
        ["spark-worker-2", ["spark-worker-2 | two"]],
    ])("shows all of a service's containers, or one of them: %s", async (service, shown) => {
        const box = sandbox();
        box.install("docker", [
            ...running(...["workspace", "spark-worker-1", "spark-worker-2"].map((name) => container(name))),
            { match: "^logs .*id-of-spark-worker-1$", stdout: "one\n" },
            { match: "^logs .*id-of-spark-worker-2$", stdout: "two\n" },
            ...healthyDocker,
        ]);
        const { stdout } = await box.carbon(["logs", service]);
        expect(stdout.split("\n").sort()).toEqual(shown);
    });
});

describe("open", () => {
    it("prints the address, without its secret, where there is no display", async () => {
        const box = sandbox();
        box.install("pulumi", obedientPulumi);
        const { stdout } = await box.carbon(["open"], { SSH_CONNECTION: "1 2 3 4" });
        expect(stdout.split("\n")).toEqual([
            "http://127.0.0.1:8888/lab",
            "Open it from the machine that you sit at: ssh -L 8888:127.0.0.1:8888 <this machine>",
            "It asks for a login: ./carbon credentials",
        ]);
        expect(box.commands("pulumi").some((command) => command.includes("--show-secrets"))).toBe(false);
    });

    it("says what there is when the stack has no such address", async () => {
        const box = sandbox();
        box.install("pulumi", obedientPulumi);
        expect(await box.carbon(["open", "novnc"])).toMatchObject({
            exitCode: 1,
            stderr: "error: The stack dev has no novnc. It has: jupyter, ssh.",
        });
    });
});
