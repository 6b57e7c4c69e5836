import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
    existsSync,
    mkdirSync,
    mkdtempSync,
    readdirSync,
    readFileSync,
    rmSync,
    statSync,
    writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Crypter } from "../../src/crypto";
import { prepareState, type ResourceState, writeCheckpoint } from "../../src/state";

let dir: string;
let path: string;
let crypter: Crypter;

beforeAll(async () => {
    crypter = await Crypter.create("test");
});
beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "checkpoint-"));
    path = join(dir, "dev.json");
});
afterEach(() => rmSync(dir, { recursive: true }));

const resource = (name: string, size = 10) =>
    ({
        urn: `urn:pulumi:dev::demo::t::${name}`,
        type: "t",
        inputs: { text: "x".repeat(size) },
        outputs: {},
        dependencies: [],
        propertyDependencies: {},
        others: {},
    }) as unknown as ResourceState;
const write = (name: string, size?: number, to = path) =>
    writeCheckpoint({ path: to, stack: "organization/demo/dev", crypter }, [resource(name, size)], []);
const names = (file: string): string[] =>
    JSON.parse(readFileSync(file, "utf8")).checkpoint.latest.resources.map(({ urn }: { urn: string }) =>
        urn.split("::").at(-1),
    );

describe("a checkpoint", () => {
    it("that a killed run was writing is removed by the next, this stack's alone", () => {
        const stacks = join(dir, ".pulumi", "stacks", "demo");
        mkdirSync(stacks, { recursive: true });
        for (const file of ["dev.json.0-1.tmp", "dev.json.bak", "dev.json", "other.json.0-1.tmp"]) {
            writeFileSync(join(stacks, file), "");
        }
        prepareState(dir, "demo", "dev");
        expect(readdirSync(stacks).sort()).toEqual(["dev.json", "dev.json.bak", "other.json.0-1.tmp"]);
    });

    it("keeps the one before it beside it, for its user alone", async () => {
        await write("first");
        expect(existsSync(`${path}.bak`)).toBe(false);
        await write("second");
        await write("third");
        expect([names(path), names(`${path}.bak`)]).toEqual([["third"], ["second"]]);
        expect(statSync(`${path}.bak`).mode & 0o777).toBe(0o600);
    });

    it("is whole at any moment, also when its process is killed while it writes", async () => {
        const source = `
            const { Crypter } = require(${JSON.stringify(join(__dirname, "..", "..", "src", "crypto.ts"))});
            const { writeCheckpoint } = require(${JSON.stringify(join(__dirname, "..", "..", "src", "state.ts"))});
            const inputs = { text: "x".repeat(3_000_000) };
            const resource = { urn: "a::b", inputs, outputs: {}, dependencies: [], propertyDependencies: {}, others: {} };
            Crypter.create("test").then(async (crypter) => {
                for (;;) {
                    await writeCheckpoint({ path: ${JSON.stringify(path)}, stack: "s", crypter }, [resource], []);
                    process.stdout.write(".");
                }
            });`;
        for (const written of [2, 3, 5]) {
            const child = spawn(process.execPath, ["--import", "tsx", "--eval", source], {
                stdio: ["ignore", "pipe", "inherit"],
            });
            for (let count = 0; count < written; count += 1) {
                await once(child.stdout, "data");
            }
            child.kill("SIGKILL");
            await once(child, "exit");
            expect([names(path), names(`${path}.bak`)]).toEqual([["b"], ["b"]]);
        }
    });

    // A file system of its own takes root.
    it.skipIf(process.platform !== "linux" || process.getuid?.() !== 0)(
        "stays as it was on a full disk, and the sentence names it",
        async () => {
            const disk = join(dir, "disk");
            mkdirSync(disk);
            execFileSync("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", disk]);
            try {
                const file = join(disk, "dev.json");
                await write("first", 10_000, file);
                await expect(write("second", 500_000, file)).rejects.toThrow(
                    `The stack's state ${file} cannot be written, and is as it was before: ENOSPC`,
                );
                expect(names(file)).toEqual(["first"]);
            } finally {
                execFileSync("umount", [disk]);
            }
        },
    );
});
