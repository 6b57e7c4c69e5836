import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import {
    type Carriage,
    exportResources,
    importResources,
    openedStackFile,
    sealStackFile,
} from "../../src/transfer";
import { copySample, samplePassphrase, sampleResources } from "./sample";

const passwordType = "random:index/randomPassword:RandomPassword";
const carriage: Carriage = { types: [passwordType], components: "carbon-reference:index:" };

function sample() {
    const { projectDir, stateDir, remove } = copySample();
    onTestFinished(remove);
    return { projectDir, stateDir, stack: "dev", passphrase: samplePassphrase };
}

describe("resources that are carried to another state", () => {
    it("are those of the types, with what they need, and no output of the stack", async () => {
        const carried = await exportResources(sample(), carriage);
        const types = carried.map(({ type }) => type);
        expect(types).toContain(passwordType);
        expect(types).toContain("pulumi:pulumi:Stack");
        expect(types).not.toContain("docker:index/container:Container");
        expect(carried.find(({ type }) => type === "pulumi:pulumi:Stack")?.outputs).toEqual({});
        expect(JSON.stringify(carried)).not.toContain("ciphertext");
    });

    it("are the same in a new state, under another passphrase", async () => {
        const old = sample();
        const carried = await exportResources(old, carriage);
        // A new clone's file has no salt.
        const fresh = { ...sample(), stateDir: join(sample().projectDir, "new"), passphrase: "another" };
        writeFileSync(join(fresh.projectDir, "Pulumi.dev.yaml"), "config: {}\n");
        await importResources(fresh, carried, carriage);
        expect(await exportResources(fresh, carriage)).toEqual(carried);
    });

    it("take the place of their namesakes, and leave the rest as it is", async () => {
        const location = sample();
        const carried = await exportResources(location, carriage);
        const changed = JSON.parse(JSON.stringify(carried));
        const password = changed.find(({ type }: { type: string }) => type === passwordType);
        password.id = "carried";
        await importResources(location, changed, carriage);
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

describe("resources that others hand over", () => {
    type Changed = Record<string, unknown> & { type: string; urn: string };
    const refused = async (change: (resources: Changed[]) => unknown) => {
        const location = sample();
        const resources = JSON.parse(JSON.stringify(await exportResources(location, carriage)));
        change(resources);
        const file = join(location.stateDir, ".pulumi/stacks/carbon-reference/dev.json");
        const before = readFileSync(file, "utf8");
        await expect(importResources(location, resources, carriage)).rejects.toThrow(
            /not among what is carried|is wrong/,
        );
        expect(readFileSync(file, "utf8")).toBe(before);
    };
    const of = (resources: Changed[], type: string) => resources.find((one) => one.type === type) as Changed;
    const strangers: [string, (resources: Changed[]) => unknown][] = [
        [
            "a command, which would run when it is deleted",
            (all) =>
                all.push({
                    urn: "urn:pulumi:dev::carbon-reference::command:local:Command::x",
                    type: "command:local:Command",
                    custom: true,
                    id: "x",
                    inputs: { create: "true", delete: "touch /tmp/pwned" },
                    outputs: {},
                    parent: all[0]?.urn,
                    dependencies: [],
                    propertyDependencies: {},
                }),
        ],
        [
            "a command that calls itself a password",
            (all) =>
                Object.assign(of(all, passwordType), {
                    urn: "urn:pulumi:dev::carbon-reference::command:local:Command::x",
                }),
        ],
        [
            "another stack's password",
            (all) => {
                const password = of(all, passwordType);
                password.urn = password.urn.replace(":dev:", ":other:");
            },
        ],
        ["what waits for its deletion", (all) => Object.assign(of(all, passwordType), { delete: true })],
        ["what is protected", (all) => Object.assign(of(all, passwordType), { protect: true })],
        [
            "a component with an id",
            (all) => Object.assign(of(all, "carbon-reference:index:Workspace"), { id: "x" }),
        ],
        [
            "a component that a provider manages",
            (all) => Object.assign(of(all, "carbon-reference:index:Workspace"), { custom: true }),
        ],
        [
            "a password of another provider",
            (all) =>
                Object.assign(of(all, passwordType), {
                    provider: "urn:pulumi:dev::carbon-reference::pulumi:providers:command::x::y",
                }),
        ],
        [
            "a provider that is fetched from elsewhere",
            (all) =>
                Object.assign(of(all, "pulumi:providers:random").inputs as object, {
                    pluginDownloadURL: "https://elsewhere.example",
                }),
        ],
        ["a password twice", (all) => all.push(of(all, passwordType))],
        [
            "what needs something else",
            (all) => Object.assign(of(all, passwordType), { dependencies: ["urn:pulumi:dev::x::y::z"] }),
        ],
    ];
    it.each(strangers)("are refused whole with %s", (_, change) => refused(change));
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
