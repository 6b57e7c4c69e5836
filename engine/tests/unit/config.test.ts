import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stackConfig } from "../../src";
import { Crypter } from "../../src/crypto";
import { copySample, samplePassphrase } from "./sample";

let sample: ReturnType<typeof copySample>;
const location = (passphrase = samplePassphrase) => ({
    projectDir: sample.projectDir,
    stateDir: sample.stateDir,
    // One that was never deployed, so that nothing but its file has a salt.
    stack: "other",
    passphrase,
});

beforeAll(async () => {
    sample = copySample();
    const crypter = await Crypter.create(samplePassphrase);
    const environment = { HF_TOKEN: { secure: crypter.encrypt("hf_s3cret") }, PLAIN: "1" };
    const file = { encryptionsalt: crypter.salt, config: { "carbon:environment": environment } };
    writeFileSync(join(sample.projectDir, "Pulumi.other.yaml"), JSON.stringify(file));
});
afterAll(() => sample.remove());

describe("a stack's configuration", () => {
    it("has its secrets in clear", async () => {
        const { "carbon:environment": environment = "" } = await stackConfig(location());
        expect(JSON.parse(environment)).toEqual({ HF_TOKEN: "hf_s3cret", PLAIN: "1" });
    });

    it("stays shut without the passphrase", async () => {
        await expect(stackConfig(location("wrong"))).rejects.toThrow(
            "The passphrase does not open this stack's secrets",
        );
    });
});
