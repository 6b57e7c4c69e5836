import type Docker from "dockerode";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { extensions } from "../../scripts/extensions";
import { exec, removeAll, run, startHealthy } from "../image/base-container";
import { readImageJson } from "../image/base-image";
import { computeImage } from "../image/compute-image";

const image = computeImage();
const { toolsets, unavailable } = readImageJson(image);
const withToolset = (name: string) => toolsets.includes(name) && !unavailable.includes(name);

/** Programs of a toolset; all others are in every image. */
const ofToolset: Record<string, string> = {
    ...{ go: "go", gopls: "go", dlv: "go", cargo: "rust", rustc: "rust", rustfmt: "rust" },
    ...{ swift: "swift", "sourcekit-lsp": "swift", clangd: "swift", dotnet: "dotnet", R: "r" },
    ...{ java: "java", mvn: "java", node: "node" },
};

describe.runIf(toolsets.includes("codeServer"))("what code-server's extensions drive", () => {
    let workspace: Docker.Container;

    beforeAll(async () => {
        // Under Docker's own seccomp profile, and with the workspace's capabilities.
        workspace = await startHealthy({ image, role: "workspace" });
    });
    afterAll(removeAll);

    const programs = [...new Set(extensions.flatMap((extension) => extension.programs))];

    it("is in the image, for each extension of the list", async () => {
        const wanted = programs.filter((name) => !(name in ofToolset) || withToolset(ofToolset[name] ?? ""));
        const look = 'for name; do command -v -- "$name" > /dev/null || echo "$name"; done';
        expect(await run(workspace, ["bash", "-lc", look, "look", ...wanted], "carbon")).toBe("");
    });

    const say = (script: string) =>
        exec(workspace, ["bash", "-lc", `cd "$(mktemp -d)"; ${script}`], "carbon");

    it("gdb stops a program of C++ and shows a variable", async () => {
        const { code, output } = await say(`
            printf 'int main() {\\n    int answer = 42;\\n    return answer - 42;\\n}\\n' > a.cc; g++ -g -o a a.cc
            gdb --batch -ex 'break 3' -ex run -ex 'print answer' -ex continue a`);
        expect([code, output]).toEqual([0, expect.stringContaining("$1 = 42")]);
        expect(output).toContain("exited normally");
        expect(output).not.toContain("address space randomization");
    });

    it.runIf(withToolset("go"))(
        "delve stops a program of Go and shows a variable",
        async () => {
            const { output } = await say(`
            printf 'package main\\n\\nfunc main() {\\n\\tanswer := 42\\n\\tprintln(answer)\\n}\\n' > main.go; go mod init a
            printf 'break main.go:5\\ncontinue\\nprint answer\\ncontinue\\nexit\\n' > commands
            dlv debug --allow-non-terminal-interactive=true --init commands`);
            expect(output).toMatch(/^42$/m);
            expect(output).toContain("exited with status 0");
        },
        120_000,
    );

    it.runIf(withToolset("rust"))("gdb stops a program of Rust and shows a variable", async () => {
        const { output } = await say(`
            printf 'fn main() {\\n    let answer = 42;\\n    println!("{}", answer);\\n}\\n' > a.rs; rustc -g a.rs
            gdb --batch -ex 'break a.rs:3' -ex run -ex 'print answer' a`);
        expect(output).toContain("$1 = 42");
    });

    it("debugpy stops a program of Python", async () => {
        const { output } = await say(`
            printf 'import debugpy\\ndebugpy.listen(("127.0.0.1", 5678))\\nprint("listens")\\n' > a.py
            /opt/carbon/venv/bin/python a.py`);
        expect(output).toContain("listens");
    });
});
