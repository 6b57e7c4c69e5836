import type { Check, Verification } from "../documents";
import { printable } from "../printable";

/**
 * The checks as JUnit's XML, a suite for each target: what build servers show. A check that was not asked for, or cannot
 * exist here, is one that was skipped.
 */
export function junitXml(documents: readonly Verification[]): string {
    const count = (status: Check["status"]) =>
        documents.flatMap(({ checks }) => checks).filter((check) => check.status === status).length;
    const all = documents.flatMap(({ checks }) => checks);
    return [
        '<?xml version="1.0" encoding="UTF-8"?>',
        `<testsuites name="carbon verify" tests="${all.length}" failures="${count("FAIL")}">`,
        ...documents.flatMap(suite),
        "</testsuites>",
        "",
    ].join("\n");
}

function suite({ target, checks, summary }: Verification): string[] {
    const seconds = checks.reduce((sum, check) => sum + check.seconds, 0).toFixed(2);
    const skipped = summary.skip + summary.unsupported;
    return [
        `  <testsuite name="${xml(target)}" tests="${checks.length}" failures="${summary.fail}" skipped="${skipped}" time="${seconds}">`,
        ...checks.flatMap((check) => testcase(target, check)),
        "  </testsuite>",
    ];
}

function testcase(target: string, check: Check): string[] {
    const { id, status, expected, observed, seconds, hint } = check;
    const open = `    <testcase classname="carbon.${xml(target)}" name="${xml(id)}" time="${seconds.toFixed(2)}"`;
    if (status === "FAIL") {
        const lines = [`expected: ${expected}`, `observed: ${observed}`, ...(hint ? [`hint: ${hint}`] : [])];
        const body = `<failure message="${xml(observed)}">${xml(lines.join("\n"))}</failure>`;
        return [`${open}>`, `      ${body}`, "    </testcase>"];
    }
    if (status === "PASS") {
        const said = hint ? `${observed}\nhint: ${hint}` : observed;
        return [`${open}>`, `      <system-out>${xml(said)}</system-out>`, "    </testcase>"];
    }
    return [`${open}>`, `      <skipped message="${xml(`${status}: ${observed}`)}"/>`, "    </testcase>"];
}

const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

/** What XML forbids is spelt out, as on a terminal. */
export function xml(text: string): string {
    return printable(text)
        .replace(/[\uFFFE\uFFFF]/g, "?")
        .replace(/[&<>"]/g, (character) => entities[character] ?? "");
}
