import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { exportResources, importResources, openedStackFile, sealStackFile } from "../../src/transfer";
import { copySample, samplePassphrase, sampleResources } from "./sample";

const passwordType = "random:index/randomPassword:RandomPassword";

function sample() {
    const { projectDir, stateDir, remove } = copySample();
    onTestFinished(remove);
    return { projectDir, stateDir, stack: "dev", passphrase: samplePassphrase };
}

describe("resources that are carried to another state", () => {
    it("are those of the types, with what they need, and no output of the stack", async () => {
        const carried = await exportResources(sample(), [passwordType]);
        const types = carried.map(({ type }) => type);
        expect(types).toContain(passwordType);
        expect(types).toContain("pulumi:pulumi:Stack");
        expect(types).not.toContain("docker:index/container:Container");
        expect(carried.find(({ type }) => type === "pulumi:pulumi:Stack")?.outputs).toEqual({});
        expect(JSON.stringify(carried)).not.toContain("ciphertext");
    });

    it("are the same in a new state, under another passphrase", async () => {
        const old = sample();
        const carried = await exportResources(old, [passwordType]);
        // A new clone's file has no salt.
        const fresh = { ...sample(), stateDir: join(sample().projectDir, "new"), passphrase: "another" };
        writeFileSync(join(fresh.projectDir, "Pulumi.dev.yaml"), "config: {}\n");
        await importResources(fresh, carried, [passwordType]);
        expect(await exportResources(fresh, [passwordType])).toEqual(carried);
    });

    it("take the place of their namesakes, and leave the rest as it is", async () => {
        const location = sample();
        const carried = await exportResources(location, [passwordType]);
        const changed = JSON.parse(JSON.stringify(carried));
        const password = changed.find(({ type }: { type: string }) => type === passwordType);
        password.id = "carried";
        await importResources(location, changed, [passwordType]);
        const after = JSON.parse(
            readFileSync(join(location.stateDir, ".pulumi/stacks/carbon-reference/dev.json"), "utf8"),
        ).checkpoint.latest.resources as { urn: string; id?: string; parent?: string }[];
        expect(after.map(({ urn }) => urn).sort()).toEqual(
            sampleResources()
                .map(({ urn }) => urn as string)
                .sort(),
        );
        expect(after.find(({ urn }) => urn === password.urn)?.id).toBe("carried");
        for (const [index, { parent }] of after.entries()) {
            expect(!parent || after.slice(0, index).some(({ urn }) => urn === parent)).toBe(true);
        }
    });
});

describe("a stack's file", () => {
    it("keeps its comments and order, and opens with this project's passphrase alone", async () => {
        const location = sample();
        const file = join(location.projectDir, "Pulumi.dev.yaml");
        const opened =
            "# mine\nconfig:\n  carbon:environment:\n    TOKEN:\n      secure: s3cret # why\n  carbon:uid: 501\n";
        await sealStackFile(location, opened);
        const sealed = readFileSync(file, "utf8");
        expect(sealed).not.toContain("s3cret");
        expect(sealed).toMatch(/# mine[\s\S]*secure: v1:\S+ # why[\s\S]*encryptionsalt: v1:/);
        expect(await openedStackFile(location)).toBe(opened);
        await expect(openedStackFile({ ...location, passphrase: "another" })).rejects.toThrow("passphrase");
    });

    it("is as it was where nothing of it is encrypted", async () => {
        const location = sample();
        const text = "config: {carbon:uid:   501}\n";
        writeFileSync(join(location.projectDir, "Pulumi.dev.yaml"), text);
        expect(await openedStackFile(location)).toBe(text);
        await sealStackFile(location, text);
        expect(readFileSync(join(location.projectDir, "Pulumi.dev.yaml"), "utf8")).toBe(text);
    });
});
