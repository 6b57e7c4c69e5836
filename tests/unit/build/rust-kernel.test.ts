import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const kernel = join(__dirname, "../../../dockerfiles/compute/kernels/rust");

/** What an expression is in Python, where the names of rust_cells and `given` are known. */
function python(expression: string, given: unknown): unknown {
    const script = `import json, sys; from rust_cells import *; given = json.load(sys.stdin); print(json.dumps(${expression}))`;
    const options = { cwd: kernel, input: JSON.stringify(given) };
    return JSON.parse(execFileSync("python3", ["-B", "-c", script], options).toString());
}

describe("the Rust kernel", () => {
    it.each([
        ["let a = 1; a", [" a"]],
        ["f(a); a", [" a"]],
        ["f(a);", []],
        ["a // ; }", ["a // ; }"]],
        ["/* a /* ; */ } */ a", ["/* a /* ; */ } */ a"]],
        ['let s = "\\";"; "a;"', [' "a;"']],
        ['r#"";"# ', ['r#"";"# ']],
        ["let c = '\"'; f::<'static>(';', b'\\'')", [" f::<'static>(';', b'\\'')"]],
        ["v.map(|x| { x; 1 })", ["v.map(|x| { x; 1 })"]],
        ["fn f() {}\nf()", ["\nf()"]],
        ["struct P;\nP { x: 1 }", ["\nP { x: 1 }"]],
        ["for i in v { i; }", []],
        ["if a { 1 } else { 2 }", ["if a { 1 } else { 2 }"]],
        ["if a { b(); }\nc", ["\nc", "if a { b(); }\nc"]],
        ["match a { _ => 1 }.pow(2)", ["match a { _ => 1 }.pow(2)"]],
    ])("finds the expression at the end of %j", (code, expressions) => {
        expect(python("[given[start:] for start in tails(given)]", code)).toEqual(expressions);
    });

    it.each([
        ["f('(', \"[\") // {", true],
        ["let x = 1; }", false],
        ["fn f() {", false],
        ["(]", false],
        ["} {", false],
    ])("tells whether the brackets of %j match", (code, matching) => {
        expect(python("balanced(given)", code)).toBe(matching);
    });

    it("gives places of the program as places in cells", () => {
        const program = "Program([Cell(2, 'a;\\nb'), Cell(5, 'c;\\nd', 2)], 'notebook.rs')";
        const lines = python(`${program}.text`, null) as string;
        const line = (code: string) => lines.split("\n").indexOf(code) + 1;
        const said = [
            `error: 7 | 8\n  --> cells.rs:${line("d")}:4`,
            `${line("d")}  |  d`,
            "   |",
            ` ::: cells.rs:${line("b")}:1`,
        ];
        expect(python(`${program}.explained(given)`, said.join("\n"))).toBe(
            ["error: 7 | 8\n  --> cell 5:2:4", "2   |  d", "   |", " ::: cell 2:2:1"].join("\n"),
        );
    });
});
