/** The one that is meant: `code-server` and `CodeServer` stand for `codeServer`. */
export function findName(names: readonly string[], given: string): string | undefined {
    return names.find((name) => plain(name) === plain(given));
}

function plain(name: string): string {
    return name.replaceAll("-", "").toLowerCase();
}
