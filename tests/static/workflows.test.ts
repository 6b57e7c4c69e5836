import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { createProgram } from "../../cli/program";
import { succeeds } from "../setup/packages";
import { check, root } from "./tool";

/** Pinned; the Go module proxy holds it to the checksum database. */
const version = "v1.7.12";
const folder = join(root, ".carbon/tools/actionlint", version);
const actionlint = join(folder, "actionlint");
const canHave = existsSync(actionlint) || succeeds("go", "version");

describe.skipIf(!canHave)(
    `actionlint${canHave ? "" : " (not here: it is built with Go, which is missing)"}`,
    () => {
        beforeAll(async () => {
            if (!existsSync(actionlint)) {
                const source = `github.com/rhysd/actionlint/cmd/actionlint@${version}`;
                await execa("go", ["install", source], { env: { GOBIN: folder } });
            }
        }, 300_000);

        it("finds nothing in the workflows", async () => {
            await check(actionlint, "-no-color", "-pyflakes=", "-shellcheck=");
        });
    },
);

interface Step {
    run?: string;
    uses?: string;
    with?: Record<string, unknown>;
}

interface Matrix {
    strategy?: { matrix?: { include?: Record<string, string>[] } };
    steps?: Step[];
    uses?: string;
}

/** Every step of the workflows and of their own actions, by file; one for each row of a matrix. */
function steps(): [file: string, step: Step][] {
    const github = join(root, ".github");
    const read = (file: string) => parse(readFileSync(join(github, file), "utf8"));
    const workflows = readdirSync(join(github, "workflows")).map((name) => `workflows/${name}`);
    const ofJobs = workflows.flatMap((file) =>
        (Object.values(read(file).jobs) as Matrix[]).flatMap(({ strategy, steps: all = [], uses }) =>
            (strategy?.matrix?.include ?? [{}]).flatMap((row) =>
                [...all, ...(uses ? [{ uses }] : [])].map((step): [string, Step] => [
                    file,
                    filled(step, row),
                ]),
            ),
        ),
    );
    const actions = readdirSync(join(github, "actions")).map((name) => `actions/${name}/action.yml`);
    return [
        ...ofJobs,
        ...actions.flatMap((file) =>
            (read(file).runs.steps as Step[]).map((step): [string, Step] => [file, step]),
        ),
    ];
}

function filled(step: Step, row: Record<string, string>): Step {
    return { ...step, run: step.run?.replace(/\$\{\{ matrix\.(\w+) \}\}/g, (_, name) => row[name] ?? "") };
}

/** Command lines of all steps, a word each; a line that goes on is one. */
const commands = steps().flatMap(([file, { run = "" }]) =>
    run
        .replaceAll("\\\n", " ")
        .split("\n")
        .filter((line) => line.trim())
        .map((line): [string, string] => [file, line.replace(/ >.*$/, "").trim()]),
);

const read = (file: string) => readFileSync(join(root, file), "utf8");

/** What is wrong with a command line of the suite's own; undefined where nothing is. */
function fault(line: string): string | undefined {
    // A variable may be any word.
    const words = line.split(/\s+/).map((word) => word.replace(/^"(.*)"$/, "$1").replace(/^\$\w+$/, "word"));
    const [program = "", ...args] = words;
    switch (program) {
        case "./carbon":
            return carbonFault(args);
        case "make":
            return new RegExp(`^${args[0]}:.*## `, "m").test(read("Makefile")) ? undefined : "no such target";
        case "npm":
            return args[0] === "ci" || JSON.parse(read("package.json")).scripts[args[1] ?? ""]
                ? undefined
                : "no such script";
        case "npx": {
            const projects = args.flatMap((arg, index) => (args[index - 1] === "--project" ? [arg] : []));
            const known = projects.every((name) => read("vitest.config.mts").includes(`name: "${name}"`));
            return args[0] === "vitest" && projects.length > 0 && known ? undefined : "no such tests";
        }
        default:
            return /^(echo|printf|sudo|gh|"\$\{OWNER)/.test(program) ? undefined : "not a known program";
    }
}

function carbonFault(args: string[]): string | undefined {
    const program = createProgram();
    const outer = program.parseOptions(args);
    const [name = "", ...operands] = outer.operands;
    const command = program.commands.find((one) => one.name() === name);
    if (!command) {
        return `no such command: ${name}`;
    }
    const inner = command.parseOptions([...operands, ...outer.unknown]);
    const extra = inner.operands.length - command.registeredArguments.length;
    return inner.unknown.length > 0 || extra > 0
        ? `unknown: ${[...inner.unknown, ...inner.operands]}`
        : undefined;
}

describe("the workflows", () => {
    it.each(commands)("%s: %s", (_, line) => {
        expect(fault(line)).toBeUndefined();
    });

    it("notices what is not there", () => {
        const wrong = [
            "./carbon bild",
            "./carbon build --shove",
            "./carbon sbom base more",
            "make nothing",
            "npm run nothing",
            "npx vitest run --project nothing",
            "curl example.com",
        ];
        expect(wrong.filter((line) => fault(line) === undefined)).toEqual([]);
        expect(commands.filter(([, line]) => line.startsWith("./carbon")).length).toBeGreaterThan(5);
    });

    it("leave no token behind in the clone, where whatever a job runs could read it", () => {
        const clones = steps().filter(([, { uses }]) => uses?.startsWith("actions/checkout@"));
        expect(clones.length).toBeGreaterThan(2);
        for (const [file, step] of clones) {
            expect(step.with?.["persist-credentials"], file).toBe(false);
        }
    });

    it("may do nothing by default but read", () => {
        const files = [...new Set(steps().map(([file]) => file))].filter((file) => /^workflows/.test(file));
        for (const file of files) {
            const allowed = Object.entries(parse(read(join(".github", file))).permissions);
            expect(
                allowed.filter(([, right]) => right !== "read"),
                file,
            ).toEqual([]);
        }
    });

    it("put nothing that others can write into a line of shell", () => {
        const filled = commands.filter(([, line]) => line.includes("${{"));
        expect(filled).toEqual([]);
    });

    it("take actions of others by their commit, and say which version it is", () => {
        const files = [...new Set(steps().map(([file]) => file))];
        const uses = files.flatMap((file) =>
            [...read(join(".github", file)).matchAll(/uses: (.+)$/gm)].map(([, used = ""]) => used),
        );
        const others = uses.filter((used) => !used.startsWith("./"));
        expect(others.length).toBeGreaterThan(4);
        for (const used of others) {
            expect(used).toMatch(/^[\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
        }
        for (const used of uses.filter((one) => one.startsWith("./"))) {
            expect(existsSync(join(root, used))).toBe(true);
        }
    });
});
