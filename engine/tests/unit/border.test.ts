import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, it } from "vitest";

const root = join(__dirname, "..", "..", "..");
const isSource = (path: string) => /\.(?:ts|mts|cts|js|cjs)$/.test(path) && !path.includes("node_modules");

/** Every source file below the folder, relative to the project. */
function sources(folder = ""): string[] {
    return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
        const path = join(folder, entry.name);
        if (entry.isDirectory()) {
            return entry.name === "node_modules" || entry.name.startsWith(".") ? [] : sources(path);
        }
        return isSource(path) ? [path] : [];
    });
}

/** What a file imports: packages by name, files by their path in the project. */
function imports(file: string): string[] {
    const text = readFileSync(join(root, file), "utf8");
    const found = text.matchAll(/\b(?:from|import|require\(|import\()\s*["']([^"'\n]+)["']/g);
    return [...found].map(([, name = ""]) =>
        name.startsWith(".") ? relative(root, resolve(root, dirname(file), name)) : name,
    );
}

const files = sources();
const isEngine = (path: string) => path === "engine" || path.startsWith("engine/");
/** `file imports what` for each import that breaks the rule. */
const offences = (from: (file: string) => boolean, isOffence: (imported: string) => boolean) =>
    files.filter(from).flatMap((file) =>
        imports(file)
            .filter(isOffence)
            .map((imported) => `${file} imports ${imported}`),
    );

describe("the engine's border", () => {
    it("is crossed by cli/ alone, and only through the entry", () => {
        expect(files.filter((file) => file.startsWith("cli/")).flatMap(imports)).toContain("@carbon/engine");
        expect(
            offences(
                (file) => !file.startsWith("cli/") && !isEngine(file),
                (imported) => imported.startsWith("@carbon/engine"),
            ),
        ).toEqual([]);
        expect(
            offences(
                (file) => !isEngine(file),
                (imported) => isEngine(imported) || imported.startsWith("@carbon/engine/"),
            ),
        ).toEqual([]);
    });

    it("is not crossed outwards: the engine knows Node, its own dependencies and itself", () => {
        const manifest = JSON.parse(readFileSync(join(root, "engine/package.json"), "utf8"));
        const packages = Object.keys(manifest.dependencies);
        const isOwn = (imported: string) =>
            imported.startsWith("engine/src/") ||
            imported.startsWith("node:") ||
            packages.some((name) => imported === name || imported.startsWith(`${name}/`));
        expect(files).toContain("engine/src/index.ts");
        expect(
            offences(
                (file) => file.startsWith("engine/src/"),
                (imported) => !isOwn(imported),
            ),
        ).toEqual([]);
    });
});

describe("a package that both the project and the engine depend on", () => {
    it("has the same version in both, so that one copy of it is installed", () => {
        const [outer, own] = ["package.json", "engine/package.json"].map((file) => {
            const { dependencies, devDependencies } = JSON.parse(readFileSync(join(root, file), "utf8"));
            return { ...devDependencies, ...dependencies } as Record<string, string>;
        });
        const shared = Object.entries(own ?? {}).filter(([name]) => name in (outer ?? {}));
        expect(shared.length).toBeGreaterThan(0);
        expect(Object.fromEntries(shared)).toEqual(
            Object.fromEntries(shared.map(([name]) => [name, outer?.[name]])),
        );
    });
});
