import { printable, unprintable } from "@carbon/engine";

export { printable };

/** The colours that picocolors makes for this command: bold, dim, the eight usual ones, and back. */
const ownColour = new RegExp(`(${"\x1b"}\\[(?:0|1|2|22|3[1-79])m)`);

/** A printable text on one line: line feeds, carriage returns and tabs become blanks. */
export function printableLine(text: string): string {
    return printable(text.replace(/[\t\r\n]+/g, " "));
}

/** A text that this command has put together, and coloured, made printable: its own colours stay. */
export function printableColoured(text: string): string {
    return text
        .split(ownColour)
        .map((part, index) => (index % 2 === 1 ? part : printable(part)))
        .join("");
}

/**
 * A JSON document whose text is printable; it parses to the same values.
 *
 * @param indent Blanks for each level; on one line with 0.
 */
export function printableJson(document: unknown, indent = 4): string {
    // JSON's own escapes cover C0 and lone surrogates alone.
    return JSON.stringify(document, null, indent).replace(unprintable, (characters) =>
        characters === "\n"
            ? characters
            : Array.from(
                  { length: characters.length },
                  (_, index) => `\\u${characters.charCodeAt(index).toString(16).padStart(4, "0")}`,
              ).join(""),
    );
}
