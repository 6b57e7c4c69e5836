import { stripVTControlCharacters } from "node:util";
import pc from "picocolors";
import { type Change, formatPath } from "./diff";
import type { Counts, Display, EngineEvent, Operation, Subject } from "./events";
import { printable } from "./printable";
import { isObject, type Value } from "./values";

export interface DisplayOptions {
    /** Where the text goes; a terminal gets colours, unless NO_COLOR is set, and a live line about what runs. */
    stream: NodeJS.WriteStream;
    /** In a preview show the properties of what is new, too; default false. */
    newProperties?: boolean;
}

/** Sign, what is being done, what was done. */
const WORDS: Record<Operation, [string, string, string]> = {
    create: ["+", "creating", "created"],
    update: ["~", "updating", "updated"],
    replace: ["+-", "replacing", "replaced"],
    delete: ["-", "deleting", "deleted"],
    keep: ["=", "keeping", "kept"],
};
/** The longest value that a diff shows whole. */
const MAX_VALUE = 120;
const LIVE_MS = 200;

/** Turns events into lines of text. */
export function createDisplay({ stream, newProperties = false }: DisplayOptions): Display {
    return new TextDisplay(stream, newProperties);
}

class TextDisplay implements Display {
    private readonly color: ReturnType<typeof pc.createColors>;
    private readonly running = new Map<string, { subject: Subject; began: number; line: string }>();
    private liveShown = false;

    constructor(
        private readonly stream: NodeJS.WriteStream,
        private readonly newProperties: boolean,
    ) {
        this.color = pc.createColors(stream.isTTY && stream.hasColors());
        if (stream.isTTY) {
            setInterval(() => this.drawLive(), LIVE_MS).unref();
        }
    }

    show(given: EngineEvent): void {
        const event = clean(given);
        switch (event.kind) {
            case "planned":
                this.tell(event, ` ${this.color.dim(event.operation)}`);
                // All of a new resource's properties are new; they are a detail.
                if (event.operation !== "create" || this.newProperties) {
                    this.printChanges(event.changes);
                }
                break;
            case "started":
                this.running.set(event.subject.urn, { subject: event.subject, began: Date.now(), line: "" });
                this.tell(event, WORDS[event.operation][1]);
                break;
            case "progress":
                this.progress(event.subject, event.line);
                break;
            case "finished":
                this.running.delete(event.subject.urn);
                this.tell(event, `${WORDS[event.operation][2]} ${this.duration(event.seconds)}`);
                break;
            case "failed":
                this.running.delete(event.subject.urn);
                this.print(`${this.color.red(`✗ ${event.subject.name} failed:`)} ${event.message}`);
                break;
            case "drifted":
                this.tell({ ...event, operation: "update" }, event.gone ? "is gone" : "was changed");
                this.printChanges(event.changes);
                break;
            case "message":
                this.message(event.severity, event.text, event.subject);
                break;
            case "summary":
                this.print(this.summary(event.preview, event.counts, event.seconds));
                break;
        }
    }

    private progress(subject: Subject, line: string): void {
        const step = this.running.get(subject.urn);
        if (step?.line === line) {
            return;
        }
        if (step) {
            step.line = line;
        }
        this.print(this.color.dim(`  ${subject.name}  ${line}`));
    }

    private message(severity: string, text: string, subject: Subject | undefined): void {
        const prefix = subject ? this.color.dim(`  ${subject.name}  `) : "";
        const paint =
            severity === "error" ? this.color.red : severity === "warning" ? this.color.yellow : String;
        this.print(`${prefix}${paint(severity === "info" ? text : `${severity}: ${text}`)}`);
    }

    private tell({ operation, subject }: { operation: Operation; subject: Subject }, rest: string): void {
        const { green, yellow, magenta, red, bold, dim } = this.color;
        const paint = { create: green, update: yellow, replace: magenta, delete: red, keep: dim }[operation];
        const sign = paint(WORDS[operation][0].padStart(2));
        this.print(`${sign} ${bold(subject.name)} ${dim(subject.type)} ${rest}`);
    }

    private duration(seconds: number): string {
        return this.color.dim(`(${formatSeconds(seconds)})`);
    }

    private printChanges(changes: Change[]): void {
        for (const change of changes) {
            this.print(`       ${this.describe(change)}`);
        }
    }

    private describe(change: Change): string {
        const path = formatPath(change.path);
        const note = change.replace ? this.color.magenta("  (replaces)") : "";
        switch (change.kind) {
            case "add":
                return `${this.color.green(`+ ${path}: ${formatValue(change.new)}`)}`;
            case "delete":
                return `${this.color.red(`- ${path}: ${formatValue(change.old)}`)}${note}`;
            case "update":
                return `${this.color.yellow(`~ ${path}: ${formatValue(change.old)} → ${formatValue(change.new)}`)}${note}`;
        }
    }

    private summary(preview: boolean, counts: Counts, seconds: number): string {
        const words: [keyof Counts, string][] = [
            ["create", preview ? "to create" : "created"],
            ["update", preview ? "to update" : "updated"],
            ["replace", preview ? "to replace" : "replaced"],
            ["delete", preview ? "to delete" : "deleted"],
            ["keep", preview ? "to keep" : "kept"],
            ["same", "unchanged"],
        ];
        const parts = words.filter(([key]) => counts[key] > 0).map(([key, word]) => `${counts[key]} ${word}`);
        return `${parts.join(", ") || "nothing to do"} ${this.duration(seconds)}`;
    }

    private print(line: string): void {
        this.clearLive();
        this.stream.write(`${line}\n`);
    }

    /** One line that names what runs and for how long. */
    private drawLive(): void {
        this.clearLive();
        const steps = [...this.running.values()];
        if (steps.length > 0) {
            const parts = steps.map(
                ({ subject, began }) => `${subject.name} ${formatSeconds((Date.now() - began) / 1000)}`,
            );
            const text = `   … ${parts.join(", ")}`.slice(0, (this.stream.columns || 80) - 1);
            this.stream.write(this.color.dim(text));
            this.liveShown = true;
        }
    }

    private clearLive(): void {
        if (this.liveShown) {
            this.stream.write("\r\x1b[2K");
            this.liveShown = false;
        }
    }
}

/**
 * An event may quote a container, a registry, a program or a stack file: in all its texts, escape sequences are left
 * out and what is still no character to look at is spelt out, so that none of it commands the terminal.
 */
function clean<T>(value: T): T;
function clean(value: unknown): unknown {
    if (typeof value === "string") {
        return printable(stripVTControlCharacters(value.replaceAll("\r\n", "\n")));
    }
    if (Array.isArray(value)) {
        return value.map((item) => clean(item));
    }
    return isObject(value)
        ? Object.fromEntries(Object.entries(value).map(([key, inner]) => [clean(key), clean(inner)]))
        : value;
}

/** A value as a diff shows it: secrets and unknowns by name, long ones cut. */
function formatValue(value: Value | undefined): string {
    const text = JSON.stringify(value ?? null).replace(/"\[(secret|unknown)\]"/g, "[$1]");
    return text.length > MAX_VALUE ? `${text.slice(0, MAX_VALUE)}…` : text;
}

function formatSeconds(seconds: number): string {
    return seconds < 10 ? `${seconds.toFixed(1)}s` : `${Math.round(seconds)}s`;
}
