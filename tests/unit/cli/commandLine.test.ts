import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { describe, expect, it, vi } from "vitest";
import { report } from "../../../cli/action";
import { healthyDocker, obedientPulumi, sandbox } from "./harness";

const root = join(__dirname, "..", "..", "..");

describe("the command line", () => {
    it("is read without Pulumi's SDK, which takes twice as long to load as all the rest", async () => {
        const script = `require("execa"); require("tsx/cjs"); require("./cli/program.ts").createProgram();
            const loaded = Object.keys(require.cache);
            console.log(loaded.length, loaded.filter((file) => file.includes("/node_modules/@pulumi/")).length)`;
        const { stdout } = await execa("node", ["-e", script], { cwd: root });
        expect(stdout).toMatch(/^[1-9]\d+ 0$/);
    });

    it("lists every command in its help", async () => {
        const { exitCode, stdout } = await sandbox().carbon(["--help"]);
        expect(exitCode).toBe(0);
        const [list = ""] = stdout.split("Examples:");
        const commands = [...list.matchAll(/^ {2}([a-z][a-z-]*)(?: .*)? {2,}\S/gm)].map(([, name]) => name);
        expect(commands).toEqual(
            "up rollback preview drift refresh stop start down build open credentials outputs ssh-config tunnel sync certificate gpu models status watch verify logs sbom backup restore doctor state clean pulumi".split(
                " ",
            ),
        );
        expect(stdout).toMatch(/--stack <name>.*\(default: "dev", env: STACK\)/s);
    });

    it.each([
        [["upp"], "unknown command 'upp'"],
        [["up", "--frobnicate"], "unknown option '--frobnicate'"],
        [["up", "--engine", "terraform"], "Allowed choices are auto, pulumi, embedded."],
        [["up", "--stack", "../other"], "Use up to 40 lower-case letters"],
        [["build", "--platform", "linux/riscv64"], "Allowed: linux/arm64, linux/amd64"],
        [["open", "fridge"], "Allowed: novnc"],
        [["logs", "fridge"], "Allowed: workspace"],
        [["logs", "--tail", "few"], "Allowed: a number, or all."],
    ])("refuses %j with the code for wrong usage", async (args, message) => {
        const { exitCode, stderr } = await sandbox().carbon(args);
        expect(exitCode).toBe(2);
        expect(stderr).toContain(message);
    });

    it.each(["up", "down"])("refuses to run %s without --yes when nobody can answer", async (command) => {
        const box = sandbox();
        box.install("docker", healthyDocker);
        box.install("pulumi", obedientPulumi);
        const { exitCode, stderr } = await box.carbon([command]);
        expect(exitCode).toBe(2);
        expect(stderr).toBe(
            `error: ${command} needs a yes, and nobody can be asked here. Add --yes to do it without asking.`,
        );
        expect(box.calls()).toEqual([]);
    });

    it("takes the stack from the environment, and from --stack first", async () => {
        const box = sandbox();
        box.install("docker", healthyDocker);
        const fromEnv = await box.carbon(["status"], { STACK: "other" });
        expect(fromEnv.stdout).toBe("The stack other is not deployed. Type: ./carbon up --stack other");
        const fromFlag = await box.carbon(["status", "--stack", "third"], { STACK: "other" });
        expect(fromFlag.stdout).toContain("The stack third is not deployed.");
    });

    it("prints no stack for a user error", async () => {
        const box = sandbox();
        const { exitCode, stderr } = await box.carbon(["outputs", "--engine", "pulumi"]);
        expect(exitCode).toBe(1);
        expect(stderr).toMatch(/^error: There is no pulumi on PATH\. .*$/);
    });

    it("says how to see the stack of an error that nobody expected, and shows it then", async () => {
        const box = sandbox();
        box.install("pulumi", obedientPulumi);
        // A file where the folder of the states belongs.
        writeFileSync(join(box.dir, ".carbon"), "");
        const quiet = await box.carbon(["outputs"]);
        expect(quiet.exitCode).toBe(1);
        expect(quiet.stderr).toMatch(
            /^error: .*\nThis was not expected\. CARBON_DEBUG=1 shows where it happened\.$/,
        );
        const loud = await box.carbon(["outputs"], { CARBON_DEBUG: "1" });
        expect(loud.stderr).toMatch(/^ +at .*cli\/\w+.*\.ts:/m);
    });

    it.each([
        ["of its own", "ENOSPC: no space left on device, write"],
        ["of a program it runs", "buildx: failed to export: write /x: no space left on device"],
    ])("says what to do about a full disk, seen in an error %s", (_, message) => {
        const written = vi.spyOn(process.stderr, "write").mockReturnValue(true);
        try {
            expect(report(new Error(message), false)).toBe(1);
            const text = written.mock.calls.join("");
            expect(text).toContain(message);
            expect(text).toContain("`docker builder prune --all`");
            expect(text).not.toContain("not expected");
        } finally {
            written.mockRestore();
        }
    });

    it("answers an error as a document with --json", async () => {
        const { stdout } = await sandbox().carbon(["outputs", "--engine", "pulumi", "--json"]);
        expect(JSON.parse(stdout)).toEqual({ error: expect.stringContaining("There is no pulumi on PATH.") });
    });
});
