// Sums up test runs: `tsx scripts/test-summary.ts FOLDER…` prints a table of all runners, what failed and, as the last
// line, "N passed, N failed, N skipped". Exits with 1 if anything failed. scripts/checks.sh writes the folders.
import { existsSync, readFileSync } from "node:fs";
import { basename, join, relative } from "node:path";
import Table from "cli-table3";

/**
 * How a runner's result is read:
 * - `check`: one check, passed if its exit status is 0.
 * - `vitest`: vitest's JSON report in `<name>.json`.
 * - `unittest`: the output of Python's unittest in `<name>.log`.
 * - `skipped-vitest`: the JSON of `vitest list` in `<name>.json`; every test counts as skipped.
 * - `skipped-check`: one check that could not run.
 */
export type Kind = "check" | "vitest" | "unittest" | "skipped-vitest" | "skipped-check";

/** One line of runs.tsv. */
export interface Run {
    name: string;
    kind: Kind;
    /** Exit status of the runner. */
    status: number;
    seconds: number;
    /** Why it did not run, if so. */
    reason: string;
}

export interface Counts {
    passed: number;
    failed: number;
    skipped: number;
}

interface VitestReport {
    numPassedTests: number;
    numFailedTests: number;
    numPendingTests: number;
    numTodoTests: number;
    testResults: {
        name: string;
        status: string;
        message: string;
        assertionResults: { fullName: string; status: string; failureMessages: string[] }[];
    }[];
}

/** Of a failure; its log has all of them. */
const shownLines = 4;

const nothing: Counts = { passed: 0, failed: 0, skipped: 0 };

/** Reads vitest's JSON report. A file that fails before its first test (a broken import) counts as one failure. */
export function countVitest(json: string): Counts {
    const report = JSON.parse(json) as VitestReport;
    const brokenFiles = report.testResults.filter(
        (file) => file.status === "failed" && file.assertionResults.length === 0,
    );
    return {
        passed: report.numPassedTests,
        failed: report.numFailedTests + brokenFiles.length,
        skipped: report.numPendingTests + report.numTodoTests,
    };
}

/** The failures of vitest's JSON report: a test's file and name, and what was expected of it. */
export function vitestFailures(json: string): string[] {
    const { testResults } = JSON.parse(json) as VitestReport;
    return testResults
        .filter((file) => file.status === "failed")
        .flatMap(({ name, message, assertionResults: tests }) => {
            const file = relative(process.cwd(), name);
            const failed = tests.filter((test) => test.status === "failed");
            return failed.length === 0
                ? [`${file}: ${message}`]
                : failed.map((test) => `${file}: ${test.fullName}\n${test.failureMessages.join("\n")}`);
        })
        .map((text) => text.split("\n").slice(0, shownLines).join("\n    "));
}

/** Reads the output of `vitest list --json`: what would have run. */
export function countListed(json: string): Counts {
    return { ...nothing, skipped: (JSON.parse(json) as unknown[]).length };
}

/** Reads the end of unittest's output: "Ran 12 tests in 0.1s", then "OK" or "FAILED (failures=1, skipped=2)". */
export function countUnittest(output: string): Counts {
    const ran = Number(/^Ran (\d+) tests? in/m.exec(output)?.[1] ?? 0);
    const details = /^(?:OK|FAILED|NO TESTS RAN)(?: \((.*)\))?$/m.exec(output)?.[1] ?? "";
    const detail = (name: string) => Number(new RegExp(`(?:^|, )${name}=(\\d+)`).exec(details)?.[1] ?? 0);
    const failed = detail("failures") + detail("errors") + detail("unexpected successes");
    const skipped = detail("skipped");
    return { passed: Math.max(0, ran - failed - skipped), failed, skipped };
}

/** Reads runs.tsv: name, kind, exit status, seconds and reason, separated by tabs. */
export function parseRuns(tsv: string): Run[] {
    return tsv
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => {
            const [name = "", kind = "", status = "1", seconds = "0", reason = ""] = line.split("\t");
            return { name, kind: kind as Kind, status: Number(status), seconds: Number(seconds), reason };
        });
}

function readReport(run: Run, folder: string): string | undefined {
    const path = join(folder, `${run.name}.${run.kind === "unittest" ? "log" : "json"}`);
    return existsSync(path) ? readFileSync(path, "utf8") : undefined;
}

function countReport(run: Run, folder: string): Counts {
    const text = readReport(run, folder);
    if (text === undefined) {
        return nothing;
    }
    const count = run.kind === "unittest" ? countUnittest : run.kind === "vitest" ? countVitest : countListed;
    return count(text);
}

/** What failed in one run; the runner itself where its report names no test. */
function failuresOf(run: Run, folder: string): string[] {
    if (countRun(run, folder).failed === 0) {
        return [];
    }
    const tests =
        run.kind === "vitest" ? vitestFailures(readReport(run, folder) ?? '{"testResults": []}') : [];
    return tests.length > 0 ? tests : [`${run.name}: see ${join(folder, `${run.name}.log`)}`];
}

/** The counts of one run. A runner that exits with an error and reports no failure (it crashed) has failed once. */
export function countRun(run: Run, folder: string): Counts {
    if (run.kind === "skipped-check") {
        return { ...nothing, skipped: 1 };
    }
    if (run.kind === "check") {
        return run.status === 0 ? { ...nothing, passed: 1 } : { ...nothing, failed: 1 };
    }
    const counts = countReport(run, folder);
    return run.status !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
}

/** Adds up. */
export function sum(all: readonly Counts[]): Counts {
    return all.reduce(
        (total, counts) => ({
            passed: total.passed + counts.passed,
            failed: total.failed + counts.failed,
            skipped: total.skipped + counts.skipped,
        }),
        nothing,
    );
}

/** The line that ends every suite. */
export function finalLine({ passed, failed, skipped }: Counts): string {
    return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

/** The table of all runners in the folders, what failed, and their sums. */
export function summarize(folders: readonly string[]): { table: string; failures: string[]; total: Counts } {
    const table = new Table({
        head: ["suite", "runner", "passed", "failed", "skipped", "seconds", ""],
        style: { head: [], border: [] },
    });
    const all: Counts[] = [];
    const failures: string[] = [];
    for (const folder of folders) {
        for (const run of parseRuns(readFileSync(join(folder, "runs.tsv"), "utf8"))) {
            const counts = countRun(run, folder);
            all.push(counts);
            failures.push(...failuresOf(run, folder));
            table.push([
                basename(folder),
                run.name,
                counts.passed,
                counts.failed,
                counts.skipped,
                run.seconds,
                run.reason,
            ]);
        }
    }
    return { table: table.toString(), failures, total: sum(all) };
}

if (require.main === module) {
    const { table, failures, total } = summarize(process.argv.slice(2));
    console.log(["", table, ...failures.map((failure) => `✗ ${failure}`), finalLine(total)].join("\n"));
    process.exitCode = total.failed === 0 ? 0 : 1;
}
