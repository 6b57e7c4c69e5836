import Table from "cli-table3";
import pc from "picocolors";
import { everyService, type SecretSpec, type ServiceSpec } from "../services";
import { visibleLength } from "./output";

const gap = 2;
/** Narrower than this, a wrapped last column helps nobody. */
const narrowest = 24;

/**
 * Rows under a bold heading, without rules, so that they can be copied and searched.
 *
 * @param width Columns of the terminal, to wrap the last column at. Without it nothing is wrapped.
 */
export function renderTable(heading: string[], rows: string[][], width?: number): string {
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
            .map(({ name, title, secret }) => [title, urls[name] ?? "", loginHint(service, secret)]),
    );
    return renderTable(["What", "Where", "Login"], rows, width);
}

/** What a login asks for, without the secret itself: `user carbon + password`. */
function loginHint(service: ServiceSpec, secretName?: string): string {
    const secret = service.secrets.find(({ name }) => name === secretName);
    const user = secret?.login?.user;
    return [...(user ? [`user ${user}`] : []), ...(secret ? [fieldNames[secret.field]] : [])].join(" + ");
}

const fieldNames: Record<SecretSpec["field"], string> = {
    password: "password",
    token: "token",
    apiKey: "API key",
};

/** A login as the stack output `credentials` holds it. */
export type Credentials = Record<string, Record<string, string>>;

/** Every login with its secret in clear, in the catalogue's order. */
export function credentialTable(credentials: Credentials, width?: number): string {
    const rows = everyService.flatMap((service) =>
        service.secrets.map(({ name, key }) => {
            const titles = service.ports.filter(({ secret }) => secret === name).map(({ title }) => title);
            return { title: titles.join(", "), login: credentials[key] };
        }),
    );
    return renderTable(
        ["What", "User", "Password, token or key", ""],
        rows.flatMap(({ title, login }) => (login ? [loginRow(title, login)] : [])),
        width,
    );
}

function loginRow(title: string, login: Record<string, string>): string[] {
    const { user, password, token, apiKey, database } = login;
    return [title, user ?? "", password ?? token ?? apiKey ?? "", database ? `database ${database}` : ""];
}

/** One check of the document that `carbon-verify --json` prints. */
export interface Check {
    id: string;
    status: "PASS" | "FAIL" | "SKIP" | "UNSUPPORTED";
    expected: string;
    observed: string;
    seconds: number;
    hint?: string;
}

/** The document itself. */
export interface Verification {
    schema: number;
    target: string;
    checks: Check[];
    summary: { pass: number; fail: number; skip: number; unsupported: number };
}

const statusColours: Record<Check["status"], (text: string) => string> = {
    PASS: pc.green,
    FAIL: pc.red,
    SKIP: pc.dim,
    UNSUPPORTED: pc.yellow,
};

/** The check's table: one row a check, and under a failed one what to do. */
export function verificationTable({ checks, summary }: Verification, width?: number): string {
    const rows = checks.flatMap((check) => {
        const row = [check.id, statusColours[check.status](check.status), check.observed];
        if (check.status !== "FAIL") {
            return [row];
        }
        const more = [`expected: ${check.expected}`, ...(check.hint ? [`hint: ${check.hint}`] : [])];
        return [row, ...more.map((line) => ["", "", line])];
    });
    const counts = Object.entries(summary)
        .filter(([, count]) => count > 0)
        .map(([name, count]) => `${count} ${name}`);
    return `${renderTable(["Check", "Status", "Observed"], rows, width)}\n\n${counts.join(", ")}`;
}
