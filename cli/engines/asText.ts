/** A value as a table shows it; "-" for none. */
export function asText(value: unknown): string {
    return typeof value === "string" ? value : (JSON.stringify(value) ?? "-");
}
