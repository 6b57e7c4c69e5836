import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { readSettings } from "../../../cli/stackSettings";
import { loadSettings } from "../../../settings";
import { settingDefinitions } from "../../../settings/schema";

const mocks = { newResource: () => ({ id: "", state: {} }), call: () => ({}) };

let dir: string;

beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), "carbon-settings-"));
    await pulumi.runtime.setMocks(mocks, "carbon", "dev");
    vi.spyOn(process, "cwd").mockReturnValue(dir);
    // Looking through a file of certificates for each of a thousand configurations takes its time.
    vi.stubEnv("NODE_EXTRA_CA_CERTS", "");
    vi.stubEnv("SSL_CERT_FILE", "");
});
afterEach(() => {
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
    rmSync(dir, { recursive: true });
});

function ofCommand(yaml: string, overrides?: Record<string, string>): unknown {
    writeFileSync(join(dir, "Pulumi.dev.yaml"), yaml);
    return outcome(() => readSettings({ dir, stateDir: "", toolsDir: "" }, "dev", overrides));
}

function ofProgram(config: Record<string, string>): unknown {
    pulumi.runtime.setAllConfig(config);
    return outcome(loadSettings);
}

function outcome(load: () => unknown): unknown {
    try {
        return load();
    } catch (error) {
        return (error as Error).message;
    }
}

/** What Pulumi makes of values, as they stand in a stack file (sdk/go/common/resource/config). */
const texts: [yaml: string, text: string][] = [
    ["true", "true"],
    ["no", "no"],
    ["12", "12"],
    ["2048", "2048"],
    ["-1", "-1"],
    ["1.50", "1.5"],
    ["'1.50'", "1.50"],
    ["''", ""],
    ["", ""],
    ["null", ""],
    ["some words", "some words"],
    ["~/code", "~/code"],
    ["host", "host"],
    ["::1", "::1"],
    ["docker.io/library/debian:13", "docker.io/library/debian:13"],
    ["[]", "[]"],
    ["[linux/arm64, native]", '["linux/arm64","native"]'],
    ["[graphics, databases, torch]", '["graphics","databases","torch"]'],
    ["[redis, 1, true, 1.50, null]", '["redis",1,true,1.5,null]'],
    ["'[\"redis\"]'", '["redis"]'],
    ["{}", "{}"],
    ["{ssh: 2300, redis: 6400}", '{"ssh":2300,"redis":6400}'],
    ["{qdrant: 'qdrant/qdrant:v1'}", '{"qdrant":"qdrant/qdrant:v1"}'],
    ["{ssh: [1, {a: b}]}", '{"ssh":[1,{"a":"b"}]}'],
];

describe("the settings of a stack file", () => {
    it.each(Object.keys(settingDefinitions))("are to the command what they are to the program: %s", (key) => {
        for (const [yaml, text] of texts) {
            const command = ofCommand(`config:\n  carbon:${key}: ${yaml}\n`);
            expect(command, yaml).toEqual(ofProgram({ [`carbon:${key}`]: text }));
        }
    });

    it("are decoded by their types", () => {
        const yaml = [
            "config:",
            "  carbon:platforms: [linux/amd64]",
            "  carbon:compute: false",
            "  carbon:services: [redis]",
            "  carbon:ports: {redis: 6400}",
            "  carbon:portOffset: 10",
            "  carbon:cpus: 1.50",
        ].join("\n");
        expect(ofCommand(yaml)).toMatchObject({
            platforms: ["linux/amd64"],
            compute: false,
            services: [{ name: "redis" }],
            ports: { redis: 6410 },
            cpus: "1.5",
        });
    });

    it("have the defaults where there is no file", () => {
        expect(outcome(() => readSettings({ dir, stateDir: "", toolsDir: "" }, "dev"))).toEqual(
            ofProgram({}),
        );
    });

    it("may stand without the namespace, beside those of others, encrypted ones too", () => {
        const yaml = "config:\n  uid: 1234\n  docker:host: {secure: abc}\n";
        expect(ofCommand(yaml)).toMatchObject({ uid: 1234 });
    });

    it("give way to what the command line says", () => {
        expect(ofCommand("config:\n  carbon:uid: root\n", { uid: "1234" })).toMatchObject({ uid: 1234 });
    });

    it("may be encrypted where they may be secrets, one value of a map, too", () => {
        const map = "config:\n  carbon:environment:\n    A: b\n    HF_TOKEN:\n      secure: v1:x\n";
        expect(ofCommand(map)).toMatchObject({ environment: { A: "b", HF_TOKEN: "" } });
        const whole = "config:\n  carbon:environment: {secure: v1:x}\n  carbon:proxy: {secure: v1:y}\n";
        expect(ofCommand(whole)).toMatchObject({ environment: {} });
    });

    it("are all reported at once, encrypted ones too", () => {
        const yaml = "config:\n  carbon:uid: root\n  carbon:llmModel: {secure: abc}\n  carbon:portz: 1\n";
        expect(ofCommand(yaml)).toMatch(
            /has 3 problems:\n {2}carbon:portz = .*\n {2}carbon:llmModel = .*it is no secret.*\n {2}carbon:uid = "root"/,
        );
    });
});
