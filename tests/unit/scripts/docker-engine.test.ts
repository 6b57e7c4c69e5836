import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { fake, fakeDocker, fakeOrdinaryUser, project, run } from "./harness";

describe("docker-engine.sh", () => {
    it("has nothing to do where an engine answers", () => {
        fakeDocker();
        expect(run("docker-engine.sh", ["plan"])).toEqual({ status: 0, output: "" });
        expect(run("docker-engine.sh")).toEqual({ status: 0, output: "" });
    });

    it.skipIf(process.platform === "darwin")("says how to get Docker Desktop on a Mac without it", () => {
        fake("uname", "echo Darwin");
        fakeDocker({ version: "exit 1" });
        const { status, output } = run("docker-engine.sh", ["plan"]);
        expect(status).toBe(3);
        expect(output).toContain("brew install --cask docker");
    });

    it.skipIf(process.platform !== "linux")("sends a user without access to the docker group", () => {
        fakeOrdinaryUser();
        fakeDocker({ version: "echo 'permission denied while trying to connect' >&2; exit 1" });
        const { status, output } = run("docker-engine.sh", ["plan"]);
        expect(status).toBe(3);
        expect(output).toContain("sudo usermod -aG docker ada");
    });

    it.skipIf(process.platform !== "linux")("asks the daemon: a client alone is no engine", () => {
        fakeOrdinaryUser();
        fakeDocker({ version: "echo 'Cannot connect to the Docker daemon' >&2; exit 1" });
        const { status, output } = run("docker-engine.sh", ["plan"]);
        expect(status).toBe(3);
        expect(output).toContain("No Docker Engine runs here");
    });

    it.skipIf(process.platform !== "linux")("takes no zombie for a running daemon", async () => {
        // A parent that never collects its child: `exec` makes it another program.
        const parent = spawn("sh", ["-c", "sleep 0 & echo $!; exec sleep 30"]);
        const [output] = await once(parent.stdout, "data");
        const zombie = String(output).trim();
        const status = (pid: unknown) => readFileSync(`/proc/${pid}/status`, "utf8");
        const soon = { timeout: 10_000 };
        await expect.poll(() => status(zombie), soon).toContain("State:\tZ");
        await expect.poll(() => status(parent.pid), soon).toContain("Name:\tsleep");
        const isAlive = (pid: string) => {
            writeFileSync(join(project, "pid"), pid);
            return (
                run("docker-engine.sh", ["step", "is_running", "sleep", join(project, "pid")]).status === 0
            );
        };
        expect(isAlive(String(parent.pid))).toBe(true);
        expect(isAlive(zombie)).toBe(false);
        parent.kill();
    });

    it.skipIf(process.platform !== "linux")("installs none where the client asks another machine's", () => {
        fakeDocker({ version: "echo 'no route to host' >&2; exit 1" });
        const { status, output } = run("docker-engine.sh", [], { DOCKER_HOST: "tcp://192.0.2.1:2375" });
        expect(status).toBe(3);
        expect(output).toContain("no route to host");
    });
});
