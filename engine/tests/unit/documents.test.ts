import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EngineError, stackOutputs } from "../../src";
import { resolveEndpoint } from "../../src/docker/endpoint";
import { lockStack } from "../../src/lock";
import { checkpointPath } from "../../src/state";
import { samplePassphrase, samplePath } from "./sample";

let dir: string;
beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "documents-"));
    cpSync(samplePath, dir, { recursive: true });
});
afterEach(() => rmSync(dir, { recursive: true }));

/** What a user is told who asks for the stack's outputs; anything but an EngineError is a crash. */
async function told(): Promise<string> {
    const location = { projectDir: dir, stateDir: dir, stack: "dev", passphrase: samplePassphrase };
    const end = await stackOutputs(location, { showSecrets: false }).catch((error: unknown) => error);
    return end instanceof EngineError ? end.message : `no refusal: ${JSON.stringify(end)} ${end}`;
}

function writeState(text: string): string {
    const path = checkpointPath(dir, "carbon-reference", "dev");
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(path, text);
    return path;
}

const sampleState = () => JSON.parse(readFileSync(join(samplePath, "checkpoint.json"), "utf8"));
const stateWith = (latest: unknown) => JSON.stringify({ version: 3, checkpoint: { latest } });

describe("a checkpoint of another shape is refused in a sentence that names it:", () => {
    it.each([
        ["null", "null", "expected object"],
        ["a list", "[]", "expected object"],
        ["a number", "5", "expected object"],
        ["no version", "{}", '"version"'],
        ["another version", '{"version": 4}', "has version 4"],
        ["no checkpoint", '{"version": 3}', '"checkpoint"'],
        ["a text for the latest", stateWith("x"), '"checkpoint.latest"'],
        ["a text for the resources", stateWith({ resources: "x" }), '"checkpoint.latest.resources"'],
        ["a text for a resource", stateWith({ resources: ["x"] }), '"checkpoint.latest.resources.0"'],
        [
            "a resource without a type",
            stateWith({ resources: [{ urn: "x" }] }),
            '"checkpoint.latest.resources.0.type"',
        ],
        ["a list for inputs", stateWith({ resources: [{ urn: "x", type: "y", inputs: [] }] }), "inputs"],
        ["a pending nothing", stateWith({ pending_operations: [null] }), "pending_operations.0"],
        ["a number for the salt", stateWith({ secrets_providers: { state: { salt: 5 } } }), "state.salt"],
        ["half a file", '{"version": 3', "JSON"],
    ])("%s", async (_, text, place) => {
        const path = writeState(text);
        const message = await told();
        expect(message).toContain(`The stack's state ${path} `);
        expect(message).toContain(place);
    });

    it("a damaged secret", async () => {
        const text = JSON.stringify(sampleState()).replace(/("ciphertext":"v1:[^:"]*:)[^"]{4}/, "$1AAAA");
        const path = writeState(text);
        expect(await told()).toContain(`The stack's state ${path} cannot be read`);
    });

    it("but not the one that the real CLI wrote, nor one that is empty", async () => {
        writeState(JSON.stringify(sampleState()));
        expect(await told()).toContain('"verified":"hi"');
        writeState(stateWith(null));
        expect(await told()).toContain("no refusal: {}");
    });
});

describe("a file of another shape is refused in a sentence that names it:", () => {
    it.each([
        ["Pulumi.dev.yaml", "- a\n", "expected object"],
        ["Pulumi.dev.yaml", "5\n", "expected object"],
        ["Pulumi.dev.yaml", "config: x\n", '"config"'],
        ["Pulumi.dev.yaml", "config: [x]\n", '"config"'],
        ["Pulumi.dev.yaml", "encryptionsalt: 5\n", '"encryptionsalt"'],
        ["Pulumi.yaml", "[]\n", "expected object"],
        ["Pulumi.yaml", "name: [x]\nruntime: nodejs\n", '"name"'],
        ["Pulumi.yaml", "name: x\nruntime: nodejs\nconfig: x\n", '"config"'],
        ["Pulumi.yaml", "name: x\nruntime: nodejs\nmain: 5\n", '"main"'],
    ])("%s with %j", async (file, text, place) => {
        writeFileSync(join(dir, file), text);
        const message = await told();
        expect(message).toContain(join(dir, file));
        expect(message).toContain(place);
    });

    it.each([
        "null",
        "[]",
        '{"pid": "x"}',
        '{"pid": -1, "username": "u", "hostname": "h", "timestamp": "t"}',
    ])("a lock with %s", (text) => {
        const locks = join(dir, ".pulumi", "locks", "organization", "demo", "dev");
        mkdirSync(locks, { recursive: true });
        writeFileSync(join(locks, "x.json"), text);
        expect(() => lockStack(dir, "demo", "dev")).toThrow(`${join(locks, "x.json")} is unreadable`);
    });

    it.each(["null", "[]", '{"currentContext": 5}'])("Docker's configuration with %s", (text) => {
        writeFileSync(join(dir, "config.json"), text);
        expect(() => resolveEndpoint({}, {}, dir)).toThrow(EngineError);
        expect(() => resolveEndpoint({}, {}, dir)).toThrow(join(dir, "config.json"));
    });
});
