import { describe, expect, it } from "vitest";
import { applyReplaceOnChanges, diffProps, formatPath, parsePath } from "../../src/diff";
import { Secret, UNKNOWN } from "../../src/values";

const paths = (olds: object, news: object) =>
    diffProps(olds as never, news as never).map((change) => `${change.kind} ${formatPath(change.path)}`);

describe("a diff of properties", () => {
    it("names the leaves that differ", () => {
        expect(paths({ a: { b: [1, 2] }, c: 1 }, { a: { b: [1, 3] }, d: 1 })).toEqual([
            "update a.b[1]",
            "delete c",
            "add d",
        ]);
    });

    it("takes a secret and its plain value for the same", () => {
        expect(paths({ a: new Secret("x") }, { a: "x" })).toEqual([]);
    });

    it("keeps both sides of a changed secret secret", () => {
        const [change] = diffProps({ a: "old" }, { a: new Secret("new") });
        expect([change?.old, change?.new]).toEqual([new Secret("old"), new Secret("new")]);
    });

    it("counts an unknown value as a change", () => {
        expect(paths({ a: "x" }, { a: UNKNOWN })).toEqual(["update a"]);
    });
});

describe("replaceOnChanges", () => {
    it.each([
        ["triggers[*]", ["triggers", 3], true],
        ["healthcheck", ["healthcheck", "retries"], true],
        ["healthcheck.tests", ["healthcheck", "retries"], false],
        ["*", ["anything"], true],
    ])("%s and a change of %j: %s", (pattern, path, expected) => {
        const change = { path, kind: "update" as const, replace: false };
        expect(applyReplaceOnChanges([change], [pattern])[0]?.replace).toBe(expected);
    });
});

describe("a property path", () => {
    it("is read with indices, quoted names and stars", () => {
        expect(parsePath('a[0].b["c.d"][*]')).toEqual(["a", 0, "b", "c.d", "*"]);
    });
});
