import {
    chmodSync,
    lstatSync,
    mkdirSync,
    mkdtempSync,
    readdirSync,
    rmSync,
    symlinkSync,
    writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { up } from "../../src";
import { lockStack } from "../../src/lock";

let dir: string;
let stateDir: string;
let umask: number;
beforeEach(() => {
    umask = process.umask(0);
    dir = mkdtempSync(join(tmpdir(), "privacy-"));
    stateDir = join(dir, "state");
    writeFileSync(join(dir, "Pulumi.yaml"), "name: demo\nruntime: nodejs\n");
    writeFileSync(join(dir, "package.json"), '{ "main": "index.ts" }');
    writeFileSync(join(dir, "index.ts"), "export const answer = 42;\n");
    symlinkSync(join(__dirname, "..", "..", "..", "node_modules"), join(dir, "node_modules"));
});
afterEach(() => {
    process.umask(umask);
    rmSync(dir, { recursive: true });
});

const deploy = () =>
    up({
        projectDir: dir,
        stateDir,
        stack: "dev",
        passphrase: "x",
        display: { show: () => {} },
    });

/** Everything in the state whose mode lets others in, as `path mode`. */
function open(): string[] {
    const found = readdirSync(stateDir, { recursive: true, encoding: "utf8" });
    return ["", ...found]
        .map((name) => [name, lstatSync(join(stateDir, name)).mode & 0o777] as const)
        .filter(([, mode]) => (mode & 0o077) !== 0)
        .map(([name, mode]) => `${name} ${mode.toString(8)}`);
}

describe("what the engine writes", () => {
    it("is for this user alone, whatever the umask", async () => {
        await deploy();
        expect(readdirSync(join(stateDir, ".pulumi")).sort()).toEqual(["locks", "meta.yaml", "stacks"]);
        expect(open()).toEqual([]);
    });

    it("is closed to others where another version left it open, though nothing else changes", async () => {
        await deploy();
        for (const name of ["", ".pulumi", ".pulumi/stacks", ".pulumi/stacks/demo"]) {
            chmodSync(join(stateDir, name), 0o755);
        }
        chmodSync(join(stateDir, ".pulumi", "meta.yaml"), 0o644);
        chmodSync(join(stateDir, ".pulumi", "stacks", "demo", "dev.json"), 0o644);
        expect(open()).toHaveLength(6);
        await deploy();
        expect(open()).toEqual([]);
    });

    it("is a lock, and its folders, too", () => {
        mkdirSync(join(stateDir, ".pulumi", "locks"), { recursive: true, mode: 0o777 });
        const release = lockStack(stateDir, "demo", "dev");
        expect(open()).toEqual([]);
        release();
    });
});

describe("the locks of the real CLI", () => {
    it("count without the files of attributes beside them", () => {
        const locks = join(stateDir, ".pulumi", "locks", "organization", "demo", "dev");
        mkdirSync(locks, { recursive: true });
        writeFileSync(join(locks, "x.json.attrs"), '{"user.content_type":"text/plain"}');
        lockStack(stateDir, "demo", "dev")();
    });
});
