import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Crypter } from "../../src/crypto";
import { EngineError } from "../../src/engine-error";
import { samplePassphrase, samplePath } from "./sample";

const checkpoint = readFileSync(join(samplePath, "checkpoint.json"), "utf8");
const salt = JSON.parse(checkpoint).checkpoint.latest.secrets_providers.state.salt;

describe("the passphrase crypter", () => {
    it("opens what the real CLI encrypted", async () => {
        const crypter = await Crypter.open(samplePassphrase, salt);
        const password = JSON.parse(checkpoint).checkpoint.latest.resources[0].outputs.password.ciphertext;
        expect(JSON.parse(crypter.decrypt(password))).toMatch(/^[A-Za-z0-9]{20}$/);
    });

    it("refuses a wrong passphrase before anything is read", async () => {
        await expect(Crypter.open("wrong", salt)).rejects.toThrow(EngineError);
        await expect(Crypter.open("wrong", salt)).rejects.toThrow(/PULUMI_CONFIG_PASSPHRASE/);
    });

    it("makes a salt that opens again", async () => {
        const made = await Crypter.create("secret");
        const again = await Crypter.open("secret", made.salt);
        expect(again.decrypt(made.encrypt("text"))).toBe("text");
    });

    it("gives an unchanged secret an unchanged ciphertext", async () => {
        const crypter = await Crypter.create("secret");
        expect(crypter.encrypt("one")).toBe(crypter.encrypt("one"));
        expect(crypter.encrypt("one")).not.toBe(crypter.encrypt("two"));
    });
});
