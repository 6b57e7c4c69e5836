import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeClone } from "./clone";
import { Stack } from "./stack";

const name = "t-rollback";
/** A copy of the clone, whose sources a test may change as a newer version does. */
let clone: string;
let stack: Stack;
let stackFile: string;

/** Image of each of the stack's containers, by name. */
async function images(): Promise<Record<string, string>> {
    const filter = `label=carbon.stack=${name}`;
    const { stdout } = await execa("docker", ["ps", "--filter", filter, "--format", "{{.Names}} {{.Image}}"]);
    return Object.fromEntries(stdout.split("\n").map((line) => line.split(" ")));
}

async function rows(): Promise<string> {
    const { output } = await stack.shell(
        "psql --no-psqlrc --tuples-only --no-align --command 'select x from kept'",
    );
    return output.trim();
}

/** Changes what the check in the image does: another content, and so another image. */
function changeCheck(change: (source: string) => string): void {
    const file = path.join(clone, "verify/checks/remote.py");
    writeFileSync(file, change(readFileSync(file, "utf8")));
}

beforeAll(async () => {
    clone = await makeClone("carbon-t-rollback-clone");
    stack = new Stack(name, {}, clone);
    stackFile = path.join(clone, `Pulumi.${name}.yaml`);
    // As its user wrote it, with comments.
    writeFileSync(
        stackFile,
        [
            "# Mine.",
            "config:",
            "  carbon:toolsets: [databases] # slim",
            "  carbon:compute: false",
            "  carbon:portOffset: 16000",
            "  carbon:appPorts: []",
            `  carbon:workspaceDir: ${path.join(tmpdir(), `carbon-${name}`)}`,
            "",
        ].join("\n"),
    );
});

afterAll(async () => {
    await stack.remove();
    rmSync(clone, { recursive: true, force: true });
});

describe("an upgrade", () => {
    let before: Record<string, string> = {};
    let good: Record<string, string> = {};

    it("that fails goes back with --rollback: the images of before, and the data", async () => {
        const up = await stack.carbon(["up"]);
        expect(up.exitCode, up.said).toBe(0);
        expect(up.json.verification.checks).toEqual(
            expect.arrayContaining([
                expect.objectContaining({ id: "port-postgres", status: "PASS" }),
                expect.objectContaining({ id: "port-ssh", status: "PASS" }),
            ]),
        );
        before = await images();
        const made = await stack.shell(
            "psql --no-psqlrc --command 'create table kept (x int)' --command 'insert into kept values (42)'",
        );
        expect(made.exitCode, made.output).toBe(0);

        changeCheck((source) => source.replace('startswith("SSH-2.0-")', 'startswith("SSH-9.0-")'));
        const failed = await stack.carbon(["up", "--rollback"]);
        expect(failed.exitCode).toBe(1);
        expect(failed.json.error).toContain("The images of before are back");
        expect(await images()).toEqual(before);
        expect(await rows()).toBe("42");
        const status = await stack.carbon(["status"]);
        expect(status.json.healthy).toBe(true);
        const held = readFileSync(stackFile, "utf8");
        expect(held).toMatch(/^# Mine\.\n.*toolsets: \[databases\] # slim\n.*carbon:heldImages:\n/s);
        const again = await stack.carbon(["up"]);
        expect(again.exitCode, again.said).toBe(0);
        expect(again.said).toContain("./carbon up --new-images");
        expect(await images()).toEqual(before);
    });

    it("that ends well can be gone back on later", async () => {
        changeCheck((source) => `${source.replace("SSH-9.0-", "SSH-2.0-")}\n# A newer version.\n`);
        const up = await stack.carbon(["up", "--new-images"]);
        expect(up.exitCode, up.said).toBe(0);
        good = await images();
        expect(good).not.toEqual(before);
        expect(readFileSync(stackFile, "utf8")).not.toContain("heldImages");

        const back = await stack.carbon(["rollback"]);
        expect(back.exitCode, back.said).toBe(0);
        expect(await images()).toEqual(before);
        expect(await rows()).toBe("42");
        expect((await stack.carbon(["drift"])).exitCode).toBe(0);
        expect((await stack.carbon(["status"])).json.healthy).toBe(true);
    });
});
