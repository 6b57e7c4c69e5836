import { describe, expect, it } from "vitest";
import { modelCatalogue } from "../../../catalogue/models";
import { catalogueFiles, ensureDistinct, filesToPull, renamed } from "../../../cli/models/references";

describe("a model to pull", () => {
    it.each([
        ["qwen", 'There is no model "qwen" in the catalogue. Allowed: qwen3-0.6b, '],
        ["", 'There is no model "" in the catalogue.'],
        ["../../etc/passwd", "in the catalogue"],
        ["hf:../x:y.gguf", "is no file on the hub. Allowed: hf:organisation/repository:file.gguf"],
        ["hf:me/models:../y.gguf", "is no file on the hub"],
        ["hf:me/models:/y.gguf", "is no file on the hub"],
        ["hf:me/models:a//y.gguf", "is no file on the hub"],
        ["hf:me/models:.carbon/y.gguf", "is no file on the hub"],
        ["hf:me/models:.gguf", "is no file on the hub"],
        ["hf:me/models:y.bin", "is no file on the hub"],
        ["hf:me/models:a\x1b[2Jy.gguf", "is no file on the hub"],
        ["hf:me/models:a\ny.gguf", "is no file on the hub"],
        ["hf:me/models:y.gguf?download=true", "is no file on the hub"],
        ["hf:me/mo--dels:y.gguf", "is no file on the hub"],
        ["hf:me/models/more:y.gguf", "is no file on the hub"],
        ["hf:models:y.gguf", "is no file on the hub"],
        ["hf:me/models:y-00001-of-99999.gguf", "is one of 99999 pieces. Allowed: up to 100."],
    ])("is not %j", (reference, message) => {
        expect(() => filesToPull(reference)).toThrow(message);
    });

    it("is not told at length where it is none", () => {
        expect(() => filesToPull("x".repeat(10_000))).toThrow('xxx…"');
        expect(() => filesToPull(`hf:me/models:${"y".repeat(200)}.gguf`)).toThrow("is no file on the hub");
    });

    it("is a file of the hub, under its own name", () => {
        expect(filesToPull("hf:me/models_2.GGUF:Q4/a+b.Q4_K_M.gguf")).toEqual([
            { repo: "me/models_2.GGUF", file: "Q4/a+b.Q4_K_M.gguf", name: "a+b.Q4_K_M.gguf" },
        ]);
    });

    it("is all pieces of one that comes in several", () => {
        expect(filesToPull("hf:me/models:Q4/big-00002-of-00003.gguf").map(({ file }) => file)).toEqual([
            "Q4/big-00001-of-00003.gguf",
            "Q4/big-00002-of-00003.gguf",
            "Q4/big-00003-of-00003.gguf",
        ]);
    });

    it("has another name where one is given, and only one file can have it", () => {
        expect(renamed(filesToPull("hf:me/models:model.gguf"), "mine.gguf")[0]?.name).toBe("mine.gguf");
        expect(() => renamed(filesToPull("hf:me/models:model.gguf"), "../mine.gguf")).toThrow(
            '--as "../mine.gguf" is no name of a model.',
        );
        expect(() => renamed(filesToPull("smolvlm-500m"), "mine.gguf")).toThrow("there are more");
        const two = ["hf:me/one:model.gguf", "hf:me/two:model.gguf"].flatMap(filesToPull);
        expect(() => ensureDistinct(two)).toThrow("me/one and me/two both have a file model.gguf.");
    });
});

describe("the catalogue of models", () => {
    it.each(modelCatalogue.map((model) => [model.name, model] as const))("knows %s whole", (_, model) => {
        expect(model.repository).toMatch(/^[\w.-]+\/[\w.-]+$/);
        expect(model.revision).toMatch(/^[0-9a-f]{40}$/);
        expect(model.licence).toMatch(/^[A-Za-z0-9.-]+$/);
        for (const { file, bytes, sha256 } of [model.model, ...(model.projector ? [model.projector] : [])]) {
            expect(bytes).toBeGreaterThan(1e6);
            expect(sha256).toMatch(/^[0-9a-f]{64}$/);
            // A user can name it by its place on the hub, too.
            expect(filesToPull(`hf:${model.repository}:${file}`)).toHaveLength(1);
        }
        expect(model.kind === "vision").toBe(model.projector !== undefined);
        expect(model.name).toMatch(/^[a-z0-9][a-z0-9.-]*$/);
    });

    it("has no name, no file and no hash twice", () => {
        const files = modelCatalogue.flatMap(catalogueFiles);
        for (const values of [
            modelCatalogue.map(({ name }) => name),
            files.map(({ name }) => name),
            files.map(({ sha256 }) => sha256),
        ]) {
            expect(new Set(values).size).toBe(values.length);
        }
    });

    it("has models of every kind", () => {
        expect(new Set(modelCatalogue.map(({ kind }) => kind))).toEqual(
            new Set(["general", "coding", "embedding", "vision"]),
        );
    });

    it("names a projector after its model, by which the server finds it", () => {
        expect(filesToPull("qwen3.5-4b").map(({ file, name }) => [file, name])).toEqual([
            ["Qwen3.5-4B-Q4_K_M.gguf", "Qwen3.5-4B-Q4_K_M.gguf"],
            ["mmproj-F16.gguf", "mmproj-Qwen3.5-4B-Q4_K_M.gguf"],
        ]);
    });
});
