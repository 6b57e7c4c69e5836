import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type EngineEvent, preview, stackOutputs } from "../../src";
import { copySample, samplePassphrase } from "./sample";

let sample: ReturnType<typeof copySample>;
const location = () => ({
    projectDir: sample.projectDir,
    stateDir: sample.stateDir,
    stack: "dev",
    passphrase: samplePassphrase,
});

beforeAll(() => {
    sample = copySample();
});
afterAll(() => sample.remove());

describe("a stack of the real Pulumi CLI", () => {
    it("is taken over without a change, by the unmodified program", async () => {
        const events: EngineEvent[] = [];
        const display = { show: (event: EngineEvent) => void events.push(event) };
        const { changes } = await preview({ ...location(), display });
        expect(events.filter((event) => event.kind === "planned")).toEqual([]);
        expect(changes).toEqual({ create: 0, update: 0, replace: 0, delete: 0, keep: 0, same: 6 });
    });

    it("shows its outputs, secrets only when asked", async () => {
        const hidden = await stackOutputs(location(), { showSecrets: false });
        expect(hidden).toMatchObject({ verified: "hi", password: "[secret]" });
        const shown = await stackOutputs(location(), { showSecrets: true });
        expect(shown.password).toMatch(/^[A-Za-z0-9]{20}$/);
    });

    it("is left untouched by a preview", () => {
        const path = join(sample.stateDir, ".pulumi", "stacks", "carbon-reference", "dev.json");
        const original = readFileSync(join(__dirname, "sample", "checkpoint.json"), "utf8");
        expect(readFileSync(path, "utf8")).toBe(original);
    });
});
