import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { removeAll, run } from "../image/base-container";
import { readImageJson } from "../image/base-image";
import { computeImage, startWorkspace } from "../image/compute-image";
import { executeNotebook, type Jupyter, openPage, plainText, takePicture } from "../image/jupyter";
import { launchBrowser } from "./desktop-clients";

const image = computeImage();
const { toolsets, unavailable } = readImageJson(image);
/** Kernels of the base's languages: each is there where the base has the toolset. */
const languageKernels = [
    { toolset: "java", kernel: "java", label: "Java 21", cell: "int answer = 6 * 7; answer" },
    { toolset: "rust", kernel: "rust", label: "Rust (rustc)", cell: "let answer: u8 = 6 * 7; answer" },
    { toolset: "go", kernel: "go", label: "Go (Yaegi)", cell: "answer := 6 * 7; fmt.Println(answer)" },
    { toolset: "dotnet", kernel: ".net-csharp", label: ".NET (C#)", cell: "var answer = 6 * 7; answer" },
    { toolset: "dotnet", kernel: ".net-fsharp", label: ".NET (F#)", cell: "let answer = 6 * 7 in answer" },
];
const has = ({ toolset }: { toolset: string }) =>
    toolsets.includes(toolset) && !unavailable.includes(`${toolset}Kernel`);

describe.runIf(toolsets.includes("notebooks"))("the toolset notebooks", () => {
    let jupyter: Jupyter;

    beforeAll(async () => {
        jupyter = await startWorkspace({ image });
    });
    afterAll(removeAll);

    it.each([
        ["bash", "echo $((6 * 7))", "42"],
        ["typescript", "const answer: number = 6 * 7; console.log(answer)", "42"],
        ["sql", "CREATE TABLE made AS SELECT 6 AS a; SELECT a * 7 AS answer FROM made", "42"],
    ])("runs a cell in the kernel %s", async (kernel, cell, answer) => {
        const [output] = await executeNotebook(jupyter, kernel, [cell]);
        expect(plainText(output)).toContain(answer);
    });

    it.each(languageKernels.filter(has))("runs a cell in the kernel $kernel", async ({ kernel, cell }) => {
        const [output] = await executeNotebook(jupyter, kernel, [cell]);
        expect(plainText(output)).toContain("42");
    });

    it("has no kernel for a language that the image lacks", async () => {
        const response = await fetch(`${jupyter.address}/api/kernelspecs`, {
            headers: { Authorization: `token ${jupyter.token}` },
        });
        const { kernelspecs } = (await response.json()) as { kernelspecs: Record<string, unknown> };
        const offered = languageKernels.filter(({ kernel }) => kernel in kernelspecs);
        expect(offered).toEqual(languageKernels.filter(has));
    });

    it.runIf(toolsets.includes("go"))("keeps what the cells of a Go notebook define", async () => {
        const outputs = await executeNotebook(jupyter, "go", [
            "type P struct{ X int }\nfunc (p P) Twice() int { return 2 * p.X }\np := P{21}",
            "p.Twice()",
            'strings.Repeat("ab", 2)',
        ]);
        expect(outputs.slice(1).map(plainText)).toEqual(["42", "abab"]);
    });

    it.runIf(toolsets.includes("rust"))("keeps what the cells of a Rust notebook define", async () => {
        const outputs = await executeNotebook(
            jupyter,
            "rust",
            [
                'let mut seen = vec![1];\nstruct P { x: i32 }\nfn twice(p: &P) -> i32 { 2 * p.x }\nprintln!("once");',
                "seen.push(20); twice(&P { x: 21 })",
                'println!("{}", seen.len());',
                "fn twice(p: &P) -> i32 { 200 * p.x }\nlet seen = seen.len();\ntwice(&P { x: seen as i32 })",
                "let lost: i32 = 1;\nlet bad: i32 = seen;",
                "let late = 1;\n\npanic!();",
                "(seen, lost)",
                "\"4 2\".split(' ').map(|digit| digit.parse::<u8>()).collect::<Result<Vec<_>, _>>()?",
            ],
            ["--allow-errors"],
        );
        expect([0, 1, 2, 3, 7].map((cell) => plainText(outputs[cell]))).toEqual([
            "once",
            "42",
            "2",
            "400",
            "[4, 2]",
        ]);
        expect(outputs[4]?.evalue).toMatch(/^error\[E0308\]: mismatched types\n +--> cell 5:2:16\n/);
        expect(plainText(outputs[5])).toContain("panicked at cell 6:3:1");
        expect(outputs[6]?.evalue).toContain("cannot find value `lost`");
    });

    it("has at least 20 extensions of JupyterLab, each of them enabled and fit for it", async () => {
        const list = await run(
            jupyter.container,
            ["sh", "-c", "/opt/carbon/venv/bin/jupyter labextension list 2>&1"],
            "carbon",
        );
        // biome-ignore lint/suspicious/noControlCharactersInRegex: the colours of a terminal
        const lines = list.replaceAll(/\u001b\[\d+m/g, "").split("\n");
        const extensions = lines.filter((line) => /^\s+\S+ v\d/.test(line));
        expect(extensions.length).toBeGreaterThanOrEqual(20);
        expect(extensions.filter((line) => !/ enabled OK\b/.test(line))).toEqual([]);
    });

    it("has every server extension enabled and valid", async () => {
        const list = await run(
            jupyter.container,
            ["sh", "-c", "/opt/carbon/venv/bin/jupyter server extension list 2>&1"],
            "carbon",
        );
        expect(list).not.toMatch(/disabled|\bX\b|error|warn/i);
    });

    describe("in a browser", () => {
        let browser: Browser;

        beforeAll(async () => {
            browser = await launchBrowser();
        });
        afterAll(() => browser?.close());

        it("opens without an error in the console, and offers every kernel", async () => {
            const errors: string[] = [];
            const page = await openPage(browser, jupyter, "/lab", errors);
            const launcher = page.locator(".jp-LauncherCard-label");
            await launcher.filter({ hasText: "SQL" }).first().waitFor({ timeout: 60_000 });
            const labels = await launcher.allInnerTexts();
            await takePicture(page, "jupyterlab");
            expect(errors).toEqual([]);
            const languages = languageKernels.filter(has).map(({ label }) => label);
            for (const kernel of ["Python 3 (Carbon)", "Bash", "TypeScript (Deno)", "SQL", ...languages]) {
                expect(labels).toContain(kernel);
            }
        });
    });
});
