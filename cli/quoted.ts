/** A text as a shell takes it, for a command that a user is told to type. */
export function quoted(text: string): string {
    return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
