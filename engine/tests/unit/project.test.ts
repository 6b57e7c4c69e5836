import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readProject, readStackFile, resolveConfig } from "../../src/pulumi-files";

let dir: string;
beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "project-"));
});
afterEach(() => rmSync(dir, { recursive: true }));

const schema = `
name: demo
runtime: nodejs
config:
  size: {type: integer, default: 3}
  platforms: {type: array, items: {type: string}, default: [native]}
  push: {type: boolean, default: false}
  docker:host: {value: "unix:///x"}
`;

function resolved(project: string, stackFile?: string) {
    writeFileSync(join(dir, "Pulumi.yaml"), project);
    if (stackFile !== undefined) {
        writeFileSync(join(dir, "Pulumi.dev.yaml"), stackFile);
    }
    return resolveConfig(readProject(dir), readStackFile(dir, "dev"), (text) => `opened ${text}`);
}

describe("the stack's configuration", () => {
    it("takes the project's defaults as the real CLI hands them to the program", () => {
        expect(resolved(schema).values).toEqual({
            "demo:size": "3",
            "demo:platforms": '["native"]',
            "demo:push": "false",
            "docker:host": "unix:///x",
        });
    });

    it("lets the stack file win", () => {
        expect(
            resolved(schema, "config: {demo:size: 5, demo:platforms: [linux/arm64]}").values,
        ).toMatchObject({
            "demo:size": "5",
            "demo:platforms": '["linux/arm64"]',
        });
    });

    it("opens secure values and names them secret", () => {
        const config = resolved(schema, "config: {demo:token: {secure: v1:abc}, demo:list: [{secure: x}]}");
        expect(config.values["demo:token"]).toBe("opened v1:abc");
        expect(config.values["demo:list"]).toBe('["opened x"]');
        expect(config.secretKeys).toEqual(["demo:token", "demo:list"]);
    });
});

describe("a project", () => {
    it("is refused without a Pulumi.yaml, with another runtime, and with bad YAML", () => {
        expect(() => readProject(dir)).toThrow("There is no Pulumi.yaml");
        writeFileSync(join(dir, "Pulumi.yaml"), "name: demo\nruntime: python\n");
        expect(() => readProject(dir)).toThrow("nodejs");
        writeFileSync(join(dir, "Pulumi.yaml"), "name: [\n");
        expect(() => readProject(dir)).toThrow("not valid YAML");
    });
});
