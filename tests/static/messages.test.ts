import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const root = join(__dirname, "..", "..");

/** What other programs say. */
const foreign = [
    "no space left on device",
    "REMOTE HOST IDENTIFICATION HAS CHANGED",
    // JupyterLab, matplotlib, LLVM, torch, Flask and uvicorn.
    "appears to have died. It will restart automatically",
    "missing from font(s)",
    "inconsistency in registered CommandLine options",
    "triton not found",
    "is in use by another program",
    "address already in use",
    // Browsers, code-server.
    "This site can't be reached",
    "Error loading webview",
    "SSL certificate error",
    // macOS.
    "Operation not permitted",
    // gdb, sudo, man.
    "Error disabling address space randomization",
    "a terminal is required to read the password",
    "No manual entry for",
    // The Pulumi CLI.
    "the stack is currently locked by",
    // PostgreSQL, pgvector, Redis.
    "terminated by signal 9",
    "server closed the connection unexpectedly",
    "hnsw graph no longer fits",
    "could not resize shared memory segment",
    "must be able to SET ROLE",
    "role … does not exist",
    "invalid LC_COLLATE locale name",
    "for encoding … does not exist",
    "Authentication required.",
];

/** Every text that the suite can print is in one of these. */
const sources = [
    "cli",
    "engine/src",
    "settings",
    "components",
    "catalogue",
    "host",
    "scripts",
    "verify",
    "dockerfiles",
]
    .flatMap((folder) => readdirSync(join(root, folder), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), "utf8"));

/** The quotes in the first column of the tables, where a reader looks for what is on the screen. */
const quoted = readFileSync(join(root, "docs", "troubleshooting.md"), "utf8")
    .split("\n")
    .filter((line) => line.startsWith("| "))
    .flatMap((line) => (line.split("|")[1] ?? "").match(/(?<=`)[^`]+ [^`]+(?=`)/g) ?? [])
    .filter((text) => / /.test(text.trim()) && !text.startsWith(" "));

/** What is said of locks and state files; each is to be found by who reads it on the screen. */
const trouble = [
    "is locked by",
    "is unreadable, so that nobody knows who holds stack",
    "nor among the project's tools",
    "is cut short or damaged",
    "is empty",
    "is a folder",
    "holds something else than a stack's state",
    "made by a newer program",
    "may not be read by you",
    "does not open the state file",
    "is encrypted with it",
    "cannot be written, and is as it was before",
    "and there is no backup of it",
    "There is no backup of the state file",
    "Docker went away in the middle",
];

describe("docs/troubleshooting.md", () => {
    it.each(trouble)("has what is said of locks and state files: %s", (words) => {
        expect(sources.some((source) => source.includes(words))).toBe(true);
        expect(quoted.some((text) => text.includes(words))).toBe(true);
    });

    it("quotes something", () => {
        expect(quoted.length).toBeGreaterThan(5);
    });

    it.each(quoted.filter((text) => !foreign.some((words) => text.includes(words))))(
        "quotes the suite as it speaks: %s",
        (text) => {
            // An ellipsis stands for what differs from case to case.
            const pieces = text.split("…").map((piece) => piece.trim());
            for (const piece of pieces.filter((words) => words.length > 2)) {
                expect(
                    sources.some((source) => source.includes(piece)),
                    piece,
                ).toBe(true);
            }
        },
    );
});
