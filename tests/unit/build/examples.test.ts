import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { computeRootfs, findExamples } from "../../examples";

const examples = findExamples();
const guide = readFileSync(join(__dirname, "..", "..", "..", "docs", "guide.md"), "utf8");

/** nbformat 4.5, as far as these notebooks use it (https://nbformat.readthedocs.io/en/latest/format_description.html). */
const cell = {
    id: z.string().regex(/^[a-zA-Z0-9-_]{1,64}$/),
    source: z.string().array(),
    metadata: z.object({}),
};
const notebook = z.strictObject({
    nbformat: z.literal(4),
    nbformat_minor: z.literal(5),
    metadata: z.strictObject({
        kernelspec: z.strictObject({ name: z.string(), display_name: z.string(), language: z.string() }),
        language_info: z.strictObject({ name: z.string() }),
    }),
    cells: z
        .discriminatedUnion("cell_type", [
            z.strictObject({ ...cell, cell_type: z.literal("markdown") }),
            z.strictObject({
                ...cell,
                cell_type: z.literal("code"),
                execution_count: z.null(),
                outputs: z.tuple([]),
            }),
        ])
        .array()
        .min(2),
});

/** The kernels that a toolset brings, by name, as JupyterLab shows them. */
function kernels(toolset: string): Record<string, string> {
    const folder = join(computeRootfs, toolset, "opt/carbon/venv/share/jupyter/kernels");
    const names = existsSync(folder) ? readdirSync(folder) : [];
    const read = (name: string) => JSON.parse(readFileSync(join(folder, name, "kernel.json"), "utf8"));
    return Object.fromEntries(names.map((name) => [name, read(name).display_name]));
}

it("there is an example for each area", () => {
    expect(examples.map(({ name }) => name.replace(/^\d\d-/, ""))).toEqual([
        "plots",
        "sql",
        "sql-kernel",
        "torch",
        "transformers",
        "rag",
        "tensorflow",
        "llm-server",
        "spark",
        "metal-torch",
        "metal-tensorflow",
        "mlx",
    ]);
});

it("no two examples have one number", () => {
    const numbers = examples.map(({ name }) => name.slice(0, 2));
    expect(new Set(numbers).size).toBe(numbers.length);
});

describe.each(examples)("the example $name", ({ name, toolset, path }) => {
    const content = JSON.parse(readFileSync(path, "utf8"));
    const { cells, metadata } = content as z.infer<typeof notebook>;

    it("is a notebook without outputs", () => {
        expect(notebook.safeParse(content).error?.issues ?? []).toEqual([]);
    });

    it("begins with a title and says what it shows", () => {
        const [title, empty, ...text] = cells[0]?.source ?? [];
        expect(cells[0]?.cell_type).toBe("markdown");
        expect(title).toMatch(/^# \S/);
        expect(empty).toBe("\n");
        expect(text.join("").length).toBeGreaterThan(80);
    });

    it("names a kernel that is there wherever the notebook is", () => {
        const there = { ...kernels("always"), ...kernels(toolset) };
        expect(metadata.kernelspec.display_name).toBe(there[metadata.kernelspec.name]);
    });

    it("has the ids of its cells once each", () => {
        expect(new Set(cells.map(({ id }) => id)).size).toBe(cells.length);
    });

    it("is in the guide, with its toolset", () => {
        const where = toolset === "always" ? "always" : `\`${toolset}\``;
        expect(guide).toMatch(new RegExp(`^\\| \`${name}\` \\| ${where} \\| `, "m"));
    });
});
