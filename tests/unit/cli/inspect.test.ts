import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { container, healthyDocker, obedientPulumi, running, sandbox } from "./harness";

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
            stderr: "error: The stack dev is not deployed. Type: npx carbon up",
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
        expect(stdout).toMatch(/^postgres +carbon-dev-postgres +running +healthy +\d+ \w+ +41000$/m);
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
        expect(stdout).toContain("postgres is not there. Type: npx carbon up");
    });

    it("says that the stack is not deployed, and what to type", async () => {
        const box = sandbox();
        box.install("docker", healthyDocker);
        expect(await box.carbon(["status"])).toMatchObject({
            exitCode: 1,
            stdout: "The stack dev is not deployed. Type: npx carbon up",
        });
    });
});

describe("verify", () => {
    it("runs the check in the workspace, and passes its exit code on", async () => {
        const box = sandbox();
        box.install("docker", [
            ...running(container("workspace")),
            { match: "^exec ", stdout: "ssh FAIL\n", code: 1 },
            ...healthyDocker,
        ]);
        const { exitCode, stdout } = await box.carbon(["verify", "--only", "ssh,redis"]);
        expect(exitCode).toBe(1);
        expect(stdout).toBe("ssh FAIL");
        expect(box.commands("docker").at(-1)).toBe(
            "exec carbon-dev-workspace carbon-verify --table --only ssh,redis",
        );
    });

    it("says what the workspace is when it does not run", async () => {
        const box = sandbox();
        const stopped = container("workspace", {}, { State: { Status: "exited" } });
        box.install("docker", [...running(stopped), ...healthyDocker]);
        expect(await box.carbon(["verify"])).toMatchObject({
            exitCode: 1,
            stderr: "error: The workspace is exited. Type: npx carbon up",
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
            "It asks for a login: npx carbon credentials",
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
