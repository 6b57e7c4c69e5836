import { describe, expect, it } from "vitest";
import { printable, printableColoured, printableJson, printableLine } from "../../../cli/printable";

describe("text from outside", () => {
    it.each([
        ["a colour", "\x1b[31mred", "\\x1b[31mred"],
        ["a window title", "\x1b]0;pwned\x07", "\\x1b]0;pwned\\x07"],
        ["C1's CSI", "\u009b2J", "\\x9b2J"],
        ["a carriage return", "harmless\rerror: ", "harmless\\x0derror: "],
        ["backspaces and DEL", "ab\b\b\x7f", "ab\\x08\\x08\\x7f"],
        ["an override of the reading order", "exe.\u202etxt\u202c", "exe.\\u202etxt\\u202c"],
        ["isolates", "\u2066x\u2069", "\\u2066x\\u2069"],
        ["what nobody sees", "pass\u200bword\u00ad\ufeff", "pass\\u200bword\\xad\\ufeff"],
        ["tags", "\u{e0041}", "\\u{e0041}"],
        ["letters that leave no ink", "\u3164\u115f\u2800\u034f", "\\u3164\\u115f\\u2800\\u034f"],
        ["line separators", "a\u2028b\u2029", "a\\u2028b\\u2029"],
        ["half a character", "\ud800!", "\\ud800!"],
    ])("shows %s instead of obeying it", (_, text, shown) => {
        expect(printable(text)).toBe(shown);
    });

    it.each(["Grüße, Ωmega, 日本語, שלום, مرحبا", "می‌خواهم", "👩‍💻 ✔️ ─▶", "a\tb\nc", "C:\\x1b"])(
        "leaves %j alone",
        (text) => {
            expect(printable(text)).toBe(text);
        },
    );

    it("keeps a cell of a table on its line", () => {
        expect(printableLine("refused\r\nssh\tPASS")).toBe("refused ssh PASS");
    });

    it("keeps the command's own colours, and no other order to a terminal", () => {
        expect(printableColoured("\x1b[1m\x1b[32mok\x1b[39m\x1b[22m")).toBe(
            "\x1b[1m\x1b[32mok\x1b[39m\x1b[22m",
        );
        expect(printableColoured("\x1b[8mhidden \x1b[2J\x1b[30m")).toBe("\\x1b[8mhidden \\x1b[2J\\x1b[30m");
    });
});

describe("a JSON document", () => {
    it("holds nothing for a terminal to obey, and still parses to the same", () => {
        const document = { "\u009bkey": ["\x1b[2J", "\u202e\u{e0041}", "\x7f", "a\nb", "Grüße 👩‍💻"] };
        const text = printableJson(document);
        expect(text).toBe(printable(text));
        expect(text).toContain("Grüße");
        expect(JSON.parse(text)).toEqual(document);
    });
});
