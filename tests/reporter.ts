import { appendFileSync, writeSync } from "node:fs";
import type { SerializedError } from "vitest";
import type { Reporter, TestModule, TestRunEndReason } from "vitest/node";

/**
 * Ends a run with the line `N passed, N failed, N skipped`; as a part of a suite, where CARBON_COUNTS names a file, it
 * adds a line of the three numbers to that file instead. Whatever else goes wrong counts as a failure, too: a file that
 * does not load, a hook that throws, an error outside of any test, a run that does not come to its end.
 */
export default class SumsReporter implements Reporter {
    private passed = 0;
    private failed = 1;
    private skipped = 0;

    constructor() {
        // The last word, after the summary and whatever tears down.
        process.once("exit", () => this.tell());
    }

    onTestRunEnd(
        modules: readonly TestModule[],
        unhandledErrors: readonly SerializedError[],
        reason: TestRunEndReason,
    ): void {
        const tests = modules.flatMap((module) => [...module.children.allTests()]);
        const count = (state: string) => tests.filter((test) => test.result().state === state).length;
        const broken = modules.flatMap((module) => [module, ...module.children.allSuites()]);
        const errors = broken.reduce((sum, part) => sum + part.errors().length, unhandledErrors.length);
        this.passed = count("passed");
        this.failed = count("failed") + errors;
        this.skipped = tests.length - this.passed - count("failed");
        if (reason !== "passed" && this.failed === 0) {
            this.failed = 1;
        }
    }

    private tell(): void {
        const { passed, failed, skipped } = this;
        if (process.env.CARBON_COUNTS) {
            appendFileSync(process.env.CARBON_COUNTS, `${passed} ${failed} ${skipped}\n`);
        } else {
            writeSync(1, `${passed} passed, ${failed} failed, ${skipped} skipped\n`);
        }
    }
}
