import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { project, repository } from "./harness";

describe("Makefile", () => {
    const makefile = readFileSync(join(repository, "Makefile"), "utf8");
    const targets = (/^\.PHONY: (.*)$/m.exec(makefile)?.[1] ?? "").split(" ");
    // As typed in a terminal, not as called by another make.
    const make = (...args: string[]) => {
        const { MAKEFLAGS, MAKELEVEL, MFLAGS, STACK, ...env } = process.env;
        return execFileSync("make", args, { cwd: repository, encoding: "utf8", env });
    };
    const dryRun = (target: string) => make("--dry-run", target, "STACK=blue");

    it("lists every target with a line of help, by default", () => {
        const help = make();
        expect(targets).toContain("up");
        for (const target of targets) {
            expect(help).toMatch(new RegExp(`^make ${target} +\\S.*$`, "m"));
        }
        expect(help).toContain("STACK=name picks the stack (now: dev).");
    });

    it.each(["up", "preview", "status", "drift", "stop", "start", "down"])(
        "%s sets up first, and works on STACK",
        (target) => {
            const [first, second] = dryRun(target).trim().split("\n");
            expect(first).toBe("scripts/setup.sh");
            expect(second).toContain(`./carbon ${target} --stack="$STACK"`);
        },
    );

    it("setup tries again what failed before, and ends with a look at the machine", () => {
        expect(dryRun("setup").trim().split("\n")).toEqual([
            "CARBON_RETRY=1 scripts/setup.sh",
            './carbon doctor --stack="$STACK"',
        ]);
    });

    it("asks nothing in up and down", () => {
        expect(dryRun("up")).toContain("--yes");
        expect(dryRun("down")).toContain("--yes");
        expect(dryRun("down")).not.toContain("--volumes");
    });

    describe("STACK", () => {
        /** Runs a target in the copied project, where every command is pretended and leaves its arguments. */
        const makeThere = (stack: string, by: "argument" | "environment", target: string) => {
            cpSync(join(repository, "Makefile"), join(project, "Makefile"));
            const leave = `#!/bin/sh\nprintf '%s\\n' "$0" "$@" >>"${project}/ran"\n`;
            for (const file of ["carbon", "scripts/setup.sh", "scripts/suite.sh"]) {
                writeFileSync(join(project, file), leave, { mode: 0o755 });
            }
            const { MAKEFLAGS, MAKELEVEL, MFLAGS, STACK, ...env } = process.env;
            const assigned = `STACK=${stack}`;
            const result = spawnSync("make", [target, ...(by === "argument" ? [assigned] : [])], {
                cwd: project,
                encoding: "utf8",
                env: { ...env, ...(by === "environment" ? { STACK: stack } : {}) },
            });
            const ran = existsSync(join(project, "ran")) ? readFileSync(join(project, "ran"), "utf8") : "";
            return { status: result.status, said: result.stdout + result.stderr, ran };
        };
        const ways = ["argument", "environment"] as const;
        const attacks = [
            ...[
                "x; touch pwned",
                "x && touch pwned",
                "$(touch pwned)",
                "`touch pwned`",
                "x|touch pwned",
                "x&",
            ],
            ...[
                "$(shell touch pwned)",
                `\${shell touch pwned}`,
                "$$(touch pwned)",
                "$(eval A:=$(shell touch pwned))",
            ],
            ...[
                "x' touch pwned '",
                'x" ; touch pwned; "',
                "x\ntouch pwned",
                "x\n\ttouch pwned",
                "x y",
                " ",
                "x #y",
            ],
            ...[
                "",
                "../x",
                "a/b",
                "é",
                "x>pwned",
                "$(error no)",
                "$(",
                "x\\",
                "),x",
                "*",
                "x=y",
                "\u001b[2J",
            ],
        ];

        it.each(attacks.flatMap((stack) => ways.map((by) => [stack, by] as const)))(
            "%j, by %s, is refused before anything runs",
            (stack, by) => {
                for (const target of ["up", "help", "acceptance"]) {
                    const { status, said, ran } = makeThere(stack, by, target);
                    expect(said).toMatch(
                        /\*\*\* STACK is (no stack name: it has letters, digits|empty: name a stack)/,
                    );
                    expect(status).toBe(2);
                    expect(ran).toBe("");
                    expect(existsSync(join(project, "pwned"))).toBe(false);
                    expect(said).not.toContain("\u001b");
                }
            },
        );

        it.each(ways)("is handed over as it is where it is a name, by %s", (by) => {
            const { status, ran } = makeThere("my_stack-2.B", by, "up");
            expect(status).toBe(0);
            expect(ran).toContain("\nup\n--stack=my_stack-2.B\n--yes\n");
        });
    });
});
