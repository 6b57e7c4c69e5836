import { stripVTControlCharacters } from "node:util";
import pc from "picocolors";
import { printable, printableColoured, printableJson } from "./printable";

/**
 * What the command prints, and where. With `--json` standard output holds one JSON document and nothing else,
 * so everything said on the way goes to standard error. Whatever a text holds, only this command's own colours reach
 * the terminal as they are.
 */
export class Output {
    constructor(readonly json: boolean) {}

    /** File descriptor for a child's progress. */
    get progressFd(): 1 | 2 {
        return this.json ? 2 : 1;
    }

    /** Stream for progress. */
    get progress(): NodeJS.WriteStream {
        return this.json ? process.stderr : process.stdout;
    }

    /** A line for people on the way. */
    note(line = ""): void {
        this.progress.write(`${printableColoured(line)}\n`);
    }

    /** What a user should know and nothing stops at, on standard error. */
    warn(message: string): void {
        process.stderr.write(`${pc.yellow("!")} ${printable(message)}\n`);
    }

    /** The answer: as text for people, or as one document for machines. */
    result(text: string, document: unknown): void {
        process.stdout.write(`${this.json ? printableJson(document) : printableColoured(text)}\n`);
    }

    /** One line of an answer that goes on: as text for people, or as one document on a line of its own. */
    line(text: string, document: unknown): void {
        process.stdout.write(`${this.json ? printableJson(document, 0) : printableColoured(text)}\n`);
    }
}

/** Prints a message as an error: the word and the first line stand out. */
export function printError(message: string): void {
    process.stderr.write(`${pc.red(pc.bold("error:"))} ${printable(message)}\n`);
}

/** `1 volume`, `2 volumes`. */
export function plural(count: number, noun: string): string {
    return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** `850 ms`, `12 s`, `3 min 20 s`. */
export function formatDuration(milliseconds: number): string {
    if (milliseconds < 1000) {
        return `${Math.round(milliseconds)} ms`;
    }
    const seconds = Math.round(milliseconds / 1000);
    return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** How long ago: `5 min`, `3 h`, `2 d`: the largest unit is enough. */
export function formatAge(since: string, now: number): string {
    const minutes = (now - Date.parse(since)) / 60_000;
    if (!Number.isFinite(minutes)) {
        return "-";
    }
    if (minutes < 2) {
        return formatDuration(minutes * 60_000);
    }
    if (minutes < 120) {
        return `${Math.floor(minutes)} min`;
    }
    return minutes < 48 * 60 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 60 / 24)} d`;
}

/** `1.5 GB`, in units of 1000 as Docker and disk vendors count. */
export function formatBytes(bytes: number): string {
    return bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

/** Width of a text on a terminal, without its colours. */
export function visibleLength(text: string): number {
    return stripVTControlCharacters(text).length;
}
