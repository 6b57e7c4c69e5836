import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const project = path.resolve(__dirname, "../..");
const stack = "t-rollback";

/** A copy of the clone, whose sources a test may change as a newer version does. */
const clone = mkdtempSync(path.join(tmpdir(), "carbon-rollback-"));

interface Result {
    exitCode: number;
    said: string;
    // biome-ignore lint/suspicious/noExplicitAny: each command has a document of its own
    json: any;
}

async function carbon(...command: string[]): Promise<Result> {
    const args = [path.join(clone, "cli/carbon.js"), ...command, "--stack", stack, "--json", "--yes"];
    const { exitCode, stdout, stderr } = await execa("node", args, {
        cwd: clone,
        env: { CARBON_PROJECT_DIR: clone },
        reject: false,
        stdin: "ignore",
    });
    return { exitCode: exitCode ?? -1, said: stderr, json: stdout ? JSON.parse(stdout) : undefined };
}

/** Image of each of the stack's containers, by name. */
async function images(): Promise<Record<string, string>> {
    const filter = `label=carbon.stack=${stack}`;
    const { stdout } = await execa("docker", ["ps", "--filter", filter, "--format", "{{.Names}} {{.Image}}"]);
    return Object.fromEntries(stdout.split("\n").map((line) => line.split(" ")));
}

async function rows(): Promise<string> {
    const command = "psql --no-psqlrc --tuples-only --no-align --command 'select x from kept'";
    const workspace = `carbon-${stack}-workspace`;
    return (await execa("docker", ["exec", "--user", "carbon", workspace, "bash", "-lc", command])).stdout;
}

/** Changes what the check in the image does: another content, and so another image. */
function changeCheck(change: (source: string) => string): void {
    const file = path.join(clone, "verify/checks/remote.py");
    writeFileSync(file, change(readFileSync(file, "utf8")));
}

const stackFile = path.join(clone, `Pulumi.${stack}.yaml`);

beforeAll(async () => {
    const { stdout } = await execa("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
        cwd: project,
    });
    for (const file of stdout.split("\n")) {
        cpSync(path.join(project, file), path.join(clone, file), { recursive: true });
    }
    symlinkSync(path.join(project, "node_modules"), path.join(clone, "node_modules"));
    writeFileSync(
        stackFile,
        [
            "# Mine.",
            "config:",
            "  carbon:toolsets: [databases] # slim",
            "  carbon:compute: false",
            "  carbon:portOffset: 16000",
            "  carbon:appPorts: []",
            `  carbon:workspaceDir: ${path.join(tmpdir(), `carbon-${stack}`)}`,
            "",
        ].join("\n"),
    );
});

afterAll(async () => {
    await carbon("down", "--volumes", "--images");
    rmSync(path.join(tmpdir(), `carbon-${stack}`), { recursive: true, force: true });
    rmSync(clone, { recursive: true, force: true });
});

describe("an upgrade", () => {
    let before: Record<string, string> = {};
    let good: Record<string, string> = {};

    it("that fails goes back with --rollback: the images of before, and the data", async () => {
        const up = await carbon("up");
        expect(up.exitCode, up.said).toBe(0);
        expect(up.json.verification.checks).toEqual(
            expect.arrayContaining([
                expect.objectContaining({ id: "port-postgres", status: "PASS" }),
                expect.objectContaining({ id: "port-ssh", status: "PASS" }),
            ]),
        );
        before = await images();
        const table =
            "psql --no-psqlrc --command 'create table kept (x int)' --command 'insert into kept values (42)'";
        await execa("docker", [
            "exec",
            "--user",
            "carbon",
            `carbon-${stack}-workspace`,
            "bash",
            "-lc",
            table,
        ]);

        changeCheck((source) => source.replace('startswith("SSH-2.0-")', 'startswith("SSH-9.0-")'));
        const failed = await carbon("up", "--rollback");
        expect(failed.exitCode).toBe(1);
        expect(failed.json.error).toContain("The images of before are back");
        expect(await images()).toEqual(before);
        expect(await rows()).toBe("42");
        const status = await carbon("status");
        expect(status.json.healthy).toBe(true);
        const held = readFileSync(stackFile, "utf8");
        expect(held).toMatch(/^# Mine\.\n.*toolsets: \[databases\] # slim\n.*carbon:heldImages:\n/s);
        const again = await carbon("up");
        expect(again.exitCode, again.said).toBe(0);
        expect(again.said).toContain("./carbon up --new-images");
        expect(await images()).toEqual(before);
    });

    it("that ends well can be gone back on later", async () => {
        changeCheck((source) => `${source.replace("SSH-9.0-", "SSH-2.0-")}\n# A newer version.\n`);
        const up = await carbon("up", "--new-images");
        expect(up.exitCode, up.said).toBe(0);
        good = await images();
        expect(good).not.toEqual(before);
        expect(readFileSync(stackFile, "utf8")).not.toContain("heldImages");

        const back = await carbon("rollback");
        expect(back.exitCode, back.said).toBe(0);
        expect(await images()).toEqual(before);
        expect(await rows()).toBe("42");
        expect((await carbon("drift")).exitCode).toBe(0);
        expect((await carbon("status")).json.healthy).toBe(true);
    });
});
