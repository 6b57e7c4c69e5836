/** What moves a terminal's cursor, starts a command for it, or changes the order of what stands there. */
export const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Default_Ignorable_Code_Point}\u2800]/gu;
/** The joiners U+200C and U+200D, and U+FE0E and U+FE0F, belong to how Persian, Hindi and emoji are spelt. */
const harmless = new Set(["\u200c", "\u200d", "\ufe0e", "\ufe0f", "\n", "\t"]);

/**
 * A text from outside (a log, an engine's answer, a file, an error of another program) as it may go to a terminal:
 * control and format characters (C0, C1, DEL, bidi, invisible ones, lone surrogates) stand there as `\x1b`, `\u202e`.
 * Line feeds and tabs stay. It is for reading, not for turning back: a text that holds `\x1b` in letters looks the same.
 */
export function printable(text: string): string {
    return text.replace(unprintable, (character) =>
        harmless.has(character) ? character : spellOut(character),
    );
}

function spellOut(character: string): string {
    const code = character.codePointAt(0) ?? 0;
    const digits = code.toString(16);
    if (code <= 0xff) {
        return `\\x${digits.padStart(2, "0")}`;
    }
    return code <= 0xffff ? `\\u${digits.padStart(4, "0")}` : `\\u{${digits}}`;
}
