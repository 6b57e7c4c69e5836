import { appendFileSync, writeSync } from "node:fs";
import type { SerializedError } from "vitest";
import type { Reporter, TestCase, TestModule, TestRunEndReason, TestSuite } from "vitest/node";

/**
 * Ends a run with the line `N passed, N failed, N skipped`; as a part of a suite, where CARBON_COUNTS names a file, it
 * adds a line of the three numbers to that file instead, and one for each that failed (`failed: NAME`) or passed when it
 * was run once more (`flaky: NAME`). Whatever else goes wrong counts as a failure, too: a file that does not load, a hook
 * that throws, an error outside of any test, a run that does not come to its end.
 */
export default class SumsReporter implements Reporter {
    private passed = 0;
    private skipped = 0;
    private failed = ["the run did not come to its end"];
    private flaky: string[] = [];

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
        const inState = (state: string) => tests.filter((test) => test.result().state === state);
        const groups = modules.flatMap((module) => [module, ...module.children.allSuites()]);
        this.passed = inState("passed").length;
        this.skipped = tests.length - this.passed - inState("failed").length;
        this.flaky = tests.filter((test) => test.diagnostic()?.flaky).map(nameOf);
        this.failed = [
            ...inState("failed").map(nameOf),
            ...groups.flatMap((group) => group.errors().map(({ message }) => `${nameOf(group)}: ${message}`)),
            ...unhandledErrors.map(({ message }) => message),
        ];
        if (reason !== "passed" && this.failed.length === 0) {
            this.failed = [`the run was ${reason}`];
        }
    }

    private tell(): void {
        const { passed, failed, skipped, flaky } = this;
        if (process.env.CARBON_COUNTS) {
            const lines = [
                `${passed} ${failed.length} ${skipped}`,
                ...failed.map((name) => `failed: ${oneLine(name)}`),
                ...flaky.map((name) => `flaky: ${oneLine(name)}`),
            ];
            appendFileSync(process.env.CARBON_COUNTS, `${lines.join("\n")}\n`);
        } else {
            writeSync(1, `${passed} passed, ${failed.length} failed, ${skipped} skipped\n`);
        }
    }
}

function nameOf(part: TestModule | TestSuite | TestCase): string {
    return part.type === "module"
        ? part.relativeModuleId
        : `${part.module.relativeModuleId} > ${part.fullName}`;
}

/** The beginning of a text, without its line breaks. */
function oneLine(text: string): string {
    return text.replace(/\s+/g, " ").slice(0, 200);
}
