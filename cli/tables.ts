import Table from "cli-table3";
import pc from "picocolors";
import { everyService, type PortSpec, type SecretSpec, type ServiceSpec } from "../catalogue";
import { accessTo } from "../catalogue/urls";
import type { Check, Credentials, Verification } from "./documents";
import { visibleLength } from "./output";
import { printableLine } from "./printable";

const gap = 2;
/** Narrower than this, a wrapped last column helps nobody. */
const narrowest = 24;

/** A cell of a table: its text, which may come from outside, or that and the colour that it gets. */
export type Cell = string | { text: string; colour: (text: string) => string };

/**
 * Rows under a bold heading, without rules, so that they can be copied and searched. Each cell is made printable.
 *
 * @param width Columns of the terminal, to wrap the last column at. Without it nothing is wrapped.
 */
export function renderTable(heading: string[], cells: Cell[][], width?: number): string {
    const rows = cells.map((row) => row.map(renderCell));
    const chars = {
        ...Object.fromEntries(ruleNames.map((name) => [name, ""])),
        middle: " ".repeat(gap),
    };
    const columns = heading.map((title, index) =>
        Math.max(visibleLength(title), ...rows.map((row) => visibleLength(row[index] ?? ""))),
    );
    const rest =
        width === undefined
            ? Infinity
            : width - columns.slice(0, -1).reduce((sum, column) => sum + column + gap, 0);
    const last = Math.min(columns.at(-1) ?? 0, Math.max(rest, narrowest));
    const table = new Table({
        chars,
        style: { "padding-left": 0, "padding-right": 0, head: [], border: [], compact: true },
        colWidths: [...columns.slice(0, -1), last],
        wordWrap: true,
    });
    table.push(
        heading.map((title) => pc.bold(title)),
        ...rows,
    );
    return table
        .toString()
        .split("\n")
        .map((line) => line.trimEnd())
        .join("\n");
}

function renderCell(cell: Cell): string {
    return typeof cell === "string" ? printableLine(cell) : cell.colour(printableLine(cell.text));
}

const ruleNames = [
    "top",
    "top-mid",
    "top-left",
    "top-right",
    "bottom",
    "bottom-mid",
    "bottom-left",
    "bottom-right",
    "left",
    "left-mid",
    "mid",
    "mid-mid",
    "right",
    "right-mid",
];

/** Where everything answers and what opens it, in the catalogue's order. */
export function urlTable(urls: Record<string, string>, width?: number): string {
    const rows = everyService.flatMap((service) =>
        service.ports
            .filter(({ name }) => name in urls)
            .map((port) => [port.title, urls[port.name] ?? "", loginHint(service, secretOf(port, urls))]),
    );
    return renderTable(["What", "Where", "Login"], rows, width);
}

/** Name of the secret that opens a port, which can be another one where its address says that TLS is on. */
export function secretOf(port: PortSpec, urls: Record<string, string>): string | undefined {
    return accessTo(port, isTls(urls[port.name])).secret;
}

/** Whether an address says that its service speaks TLS. */
export function isTls(url: string | undefined): boolean {
    return url?.startsWith("https:") ?? false;
}

/** What a login asks for, without the secret itself: `user carbon + password`. */
function loginHint(service: ServiceSpec, secretName?: string): string {
    // Spark's workers ask for the master's.
    const secret = [service, ...everyService]
        .flatMap(({ secrets }) => secrets)
        .find(({ name }) => name === secretName);
    const user = secret?.login?.user;
    return [...(user ? [`user ${user}`] : []), ...(secret ? [fieldNames[secret.field]] : [])].join(" + ");
}

const fieldNames: Record<SecretSpec["field"], string> = {
    password: "password",
    token: "token",
    apiKey: "API key",
};

/**
 * Every login with its secret in clear, in the catalogue's order. What opens nothing is left out.
 *
 * @param urls The stack's addresses, which say whether TLS is on.
 */
export function credentialTable(
    credentials: Credentials,
    { urls = {}, width }: { urls?: Record<string, string>; width?: number } = {},
): string {
    const rows = everyService.flatMap((service) =>
        service.secrets.map(({ name, key }) => {
            const opened = service.ports.filter((port) => secretOf(port, urls) === name);
            return { title: opened.map(({ title }) => title).join(", "), login: credentials[key] };
        }),
    );
    return renderTable(
        ["What", "User", "Password, token or key", ""],
        rows.flatMap(({ title, login }) => (login && title ? [loginRow(title, login)] : [])),
        width,
    );
}

function loginRow(title: string, login: Record<string, string>): string[] {
    const { user, password, token, apiKey, database } = login;
    return [title, user ?? "", password ?? token ?? apiKey ?? "", database ? `database ${database}` : ""];
}

const statusColours: Record<Check["status"], (text: string) => string> = {
    PASS: pc.green,
    FAIL: pc.red,
    SKIP: pc.dim,
    UNSUPPORTED: pc.yellow,
};

/** The check's table: one row a check, under a failed one what was expected, and under each that has a hint what to do. */
export function verificationTable({ checks, summary }: Verification, width?: number): string {
    const rows = checks.flatMap((check): Cell[][] => {
        const status = { text: check.status, colour: statusColours[check.status] };
        const more = [
            ...(check.status === "FAIL" ? [`expected: ${check.expected}`] : []),
            ...(check.hint ? [`hint: ${check.hint}`] : []),
        ];
        return [[check.id, status, check.observed], ...more.map((line) => ["", "", line])];
    });
    const counts = Object.entries(summary)
        .filter(([, count]) => count > 0)
        .map(([name, count]) => `${count} ${name}`);
    return `${renderTable(["Check", "Status", "Observed"], rows, width)}\n\n${counts.join(", ")}`;
}
