import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const repository = join(__dirname, "../..");

let folder: string;
beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "carbon-suite-test-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function run(command: string, args: string[], env: Record<string, string> = {}) {
    const { CARBON_COUNTS, CARBON_TEST_LIST, CI, REQUIRE_DOCKER, STACK, VITEST, ...rest } = process.env;
    const { status, stdout } = spawnSync(command, args, {
        cwd: folder,
        encoding: "utf8",
        env: { ...rest, NO_COLOR: "1", ...env },
    });
    const lines = stdout.trim().split("\n");
    const last = lines.pop();
    // What it names right before that.
    const named: (string | undefined)[] = [];
    while (/^(failed|flaky): /.test(lines.at(-1) ?? "")) {
        named.unshift(lines.pop());
    }
    return { status, last, ...(named.length > 0 && { named }) };
}

describe("the reporter", () => {
    /** Runs vitest with the reporter on these files. */
    const vitest = (files: Record<string, string>, config = "", env: Record<string, string> = {}) => {
        for (const [name, text] of Object.entries(files)) {
            writeFileSync(join(folder, name), text);
        }
        const reporter = join(repository, "tests/reporter.ts");
        writeFileSync(
            join(folder, "vitest.config.mts"),
            `export default { test: { globals: true, reporters: ["default", "${reporter}"], ${config} } }`,
        );
        return run(join(repository, "node_modules/.bin/vitest"), ["run"], env);
    };
    const passing = { "a.test.ts": 'it("is well", () => {}); it.skip("is not asked", () => {});' };

    it("ends with the sums, and exits with 0 where nothing failed", () => {
        expect(vitest(passing)).toEqual({ status: 0, last: "1 passed, 0 failed, 1 skipped" });
    });

    const failing = {
        "test.test.ts": 'describe("who", () => it("is ill", () => { throw new Error("ill"); }));',
        "file.test.ts": 'import "./nowhere";',
        "hook.test.ts":
            'describe("who", () => { beforeAll(() => { throw new Error("il\\nl"); }); it("never runs", () => {}); });',
        "stray.test.ts": 'it("lets go", () => { void Promise.reject(new Error("stray")); });',
    };
    const flaky = {
        "flaky.test.ts":
            'let n = 0; it("passes now and then", { retry: 1 }, () => { expect(n++).toBe(1); });',
    };

    it("counts what fails, where it is no test as well: a file, a hook, a stray error", () => {
        expect(vitest({ ...passing, ...failing })).toEqual({
            status: 1,
            last: "2 passed, 4 failed, 2 skipped",
        });
    });

    it("names it for the suite that it is a part of", () => {
        vitest({ ...failing, ...flaky }, "", { CARBON_COUNTS: join(folder, "counts") });
        const [sums, ...named] = readFileSync(join(folder, "counts"), "utf8").trim().split("\n");
        expect(sums).toBe("2 4 1");
        expect(named.sort()).toEqual([
            expect.stringContaining("failed: file.test.ts: Cannot find module './nowhere'"),
            "failed: hook.test.ts > who: il l",
            "failed: stray",
            "failed: test.test.ts > who > is ill",
            "flaky: flaky.test.ts > passes now and then",
        ]);
    });

    it("counts a failure where the run does not begin", () => {
        writeFileSync(join(folder, "setup.ts"), 'export default () => { throw new Error("no engine"); };');
        expect(vitest(passing, 'globalSetup: ["./setup.ts"]')).toEqual({
            status: 1,
            last: "0 passed, 1 failed, 0 skipped",
        });
    });
});

describe("the suites", () => {
    /** A project in which vitest and carbon are pretended: each writes down its arguments, then does `body`. */
    const pretend = (vitest: string, carbon = "exit 0") => {
        mkdirSync(join(folder, "node_modules/.bin"), { recursive: true });
        const script = (body: string) => `#!/bin/sh\necho "$0 $*" >>"${folder}/ran"\n${body}\n`;
        writeFileSync(join(folder, "node_modules/.bin/vitest"), script(vitest), { mode: 0o755 });
        writeFileSync(join(folder, "carbon"), script(carbon), { mode: 0o755 });
    };
    const suite = (name: string, env: Record<string, string> = {}) =>
        run(join(repository, "node_modules/.bin/tsx"), [join(repository, "tests/suite.ts"), name], env);
    const counting = 'echo "5 0 2" >>"$CARBON_COUNTS"';

    it("add up what their parts count", () => {
        pretend(counting);
        expect(suite("test")).toEqual({ status: 0, last: "5 passed, 0 failed, 2 skipped" });
        // Without an engine the tests that need one are a part of their own.
        const without = suite("test", { CARBON_TEST_LIST: "1" });
        expect(without).toEqual({ status: 0, last: "10 passed, 0 failed, 4 skipped" });
    });

    it("name at the end what their parts name", () => {
        pretend(`${'printf "5 1 2\\nfailed: one\\n"'} >>"$CARBON_COUNTS"; echo much; exit 1`);
        expect(suite("test", { CARBON_TEST_LIST: "1" })).toEqual({
            status: 1,
            last: "10 passed, 2 failed, 4 skipped",
            named: ["failed: one", "failed: one"],
        });
    });

    it("count a part that ends in an error and tells of none as one failure", () => {
        const named = [expect.stringMatching(/^failed: node_modules\/.bin\/vitest run --project static/)];
        pretend(`${counting}; exit 1`);
        expect(suite("test")).toEqual({ status: 1, last: "5 passed, 1 failed, 2 skipped", named });
        pretend("kill -9 $$");
        expect(suite("test")).toEqual({ status: 1, last: "0 passed, 1 failed, 0 skipped", named });
    });

    it.each(["x; touch pwned", "x|y", "$(touch pwned)", "a b", "é", ".*/x", "-x y"])(
        "refuse the stack name %j before anything runs",
        (stack) => {
            pretend("echo ran >>ran");
            const docker = join(folder, "docker");
            writeFileSync(docker, `#!/bin/sh\ntouch "${folder}/ran"\n`, { mode: 0o755 });
            const { status } = suite("acceptance", { STACK: stack, PATH: `${folder}:${process.env.PATH}` });
            expect(status).toBe(2);
            expect(() => rmSync(join(folder, "ran"))).toThrow("ENOENT");
        },
    );
});

describe(".ci/run", () => {
    /** Runs it with a pretended make, which does `body` with the suite's name in $1. */
    const ci = (body: string) => {
        mkdirSync(join(folder, ".ci"));
        cpSync(join(repository, ".ci/run"), join(folder, ".ci/run"));
        writeFileSync(join(folder, "make"), `#!/bin/sh\n${body}\n`, { mode: 0o755 });
        return run(join(folder, ".ci/run"), [], { PATH: `${folder}:${process.env.PATH}` });
    };

    it("ends with the sums of both suites, and insists on a Docker Engine", () => {
        const counted =
            '[ "$CI$REQUIRE_DOCKER" = true1 ] && echo "$1: 9 passed" && echo "3 passed, 0 failed, 1 skipped"';
        expect(ci(counted)).toEqual({ status: 0, last: "6 passed, 0 failed, 2 skipped" });
    });

    it("names what failed in both", () => {
        const named = ["failed: a b", "failed: a b"];
        const body = "printf 'failed: a b\\n3 passed, 1 failed, 0 skipped\\n'; exit 2";
        expect(ci(body)).toEqual({ status: 1, last: "6 passed, 2 failed, 0 skipped", named });
    });

    it.each([
        ["that failed", "echo '3 passed, 2 failed, 1 skipped'; exit 2", "3 passed, 3 failed, 1 skipped"],
        [
            "with an error that it did not count",
            "echo '3 passed, 0 failed, 1 skipped'; exit 2",
            "3 passed, 2 failed, 1 skipped",
        ],
        ["that ends in another way", "echo crashed", "0 passed, 2 failed, 0 skipped"],
        ["that is killed", "kill -9 $$", "0 passed, 2 failed, 0 skipped"],
    ])("counts a suite %s", (_, body, last) => {
        expect(ci(`[ "$1" = test ] || exit 1; ${body}`)).toEqual({ status: 1, last });
    });
});

describe("suite.sh", () => {
    const suite = (setup: string, name = "test", env: Record<string, string> = {}) => {
        mkdirSync(join(folder, "node_modules/.bin"), { recursive: true });
        cpSync(join(repository, "scripts"), join(folder, "scripts"), { recursive: true });
        writeFileSync(join(folder, "scripts/setup.sh"), `#!/bin/sh\n${setup}\n`, { mode: 0o755 });
        const tsx = '#!/bin/sh\necho "ran $2, listed: $CARBON_TEST_LIST"\n';
        writeFileSync(join(folder, "node_modules/.bin/tsx"), tsx, { mode: 0o755 });
        return run(join(folder, "scripts/suite.sh"), [name], env);
    };
    const failed = { status: 1, last: "0 passed, 1 failed, 0 skipped" };

    it("sets up, and runs the suite", () => {
        expect(suite("exit 0")).toEqual({ status: 0, last: "ran test, listed:" });
        expect(suite("exit 0", "acceptance")).toEqual({ status: 0, last: "ran acceptance, listed:" });
    });

    it("counts a set-up that fails as one failure", () => {
        expect(suite("exit 1")).toEqual(failed);
    });

    it("goes on without an engine, unless one is insisted on", () => {
        expect(suite("exit 3")).toEqual({ status: 0, last: "ran test, listed: 1" });
        expect(suite("exit 3", "acceptance")).toEqual(failed);
        expect(suite("exit 3", "test", { CI: "true" })).toEqual(failed);
        expect(suite("exit 3", "test", { REQUIRE_DOCKER: "1" })).toEqual(failed);
    });
});
