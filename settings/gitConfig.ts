import type { GitIdentity } from "./machine";

/** Text of a git configuration file with the identity; undefined where there is none. */
export function gitConfig({ name, email }: GitIdentity = {}): string | undefined {
    const lines = Object.entries({ name, email }).flatMap(([key, value]) =>
        value ? [`\t${key} = ${quoted(value)}\n`] : [],
    );
    return lines.length > 0 ? `[user]\n${lines.join("")}` : undefined;
}

/** As git reads a value back (git-config, "Syntax"); what it has no escape for becomes a blank. */
function quoted(value: string): string {
    const escaped = value.replace(/[\\"]/g, "\\$&").replace(/\n/g, "\\n").replace(/\t/g, "\\t");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: those are meant
    return `"${escaped.replace(/[\u0000-\u001f\u007f]/g, " ")}"`;
}
