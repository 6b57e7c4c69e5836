import { stripVTControlCharacters } from "node:util";
import pc from "picocolors";
import { type Change, formatPath } from "./diff";
import type { Counts, Display, EngineEvent, Operation, Subject } from "./events";
import { isObject, maskSecrets, type Value } from "./values";

export interface DisplayOptions {
    /** Where the text goes; default standard output. */
    stream?: NodeJS.WriteStream;
    /** Colours; default as the terminal and NO_COLOR ask. */
    color?: boolean;
    /** A live line about what runs, at the bottom; default where the stream is a terminal. */
    live?: boolean;
    /** Show the properties of what is created, and during `up` of each change; a preview shows changes anyway. */
    diff?: boolean;
}

/** Sign, what is being done, what was done. */
const WORDS: Record<Operation, [string, string, string]> = {
    create: ["+", "creating", "created"],
    update: ["~", "updating", "updated"],
    replace: ["+-", "replacing", "replaced"],
    delete: ["-", "deleting", "deleted"],
};
/** The longest value that a diff shows whole. */
const MAX_VALUE = 120;
const LIVE_MS = 200;

/** Turns events into lines of text, with a live line at the bottom of a terminal. */
export function createDisplay(options: DisplayOptions = {}): Display {
    return new TextDisplay(options);
}

class TextDisplay implements Display {
    private readonly stream: NodeJS.WriteStream;
    private readonly color: ReturnType<typeof pc.createColors>;
    private readonly live: boolean;
    private readonly diff: boolean;
    private readonly running = new Map<string, { subject: Subject; began: number; line: string }>();
    private readonly timer: NodeJS.Timeout | undefined;
    private liveShown = false;

    constructor({ stream = process.stdout, color, live, diff }: DisplayOptions) {
        this.stream = stream;
        this.color = pc.createColors(color ?? (pc.isColorSupported && stream.isTTY === true));
        this.live = live ?? stream.isTTY === true;
        this.diff = diff ?? false;
        this.timer = this.live ? setInterval(() => this.drawLive(), LIVE_MS).unref() : undefined;
    }

    show(given: EngineEvent): void {
        const event = printable(given) as EngineEvent;
        switch (event.kind) {
            case "planned":
                this.print(
                    `${this.sign(event.operation)} ${this.label(event.subject)}  ${this.color.dim(event.operation)}`,
                );
                // All of a new resource's properties are new; they are a detail.
                if (event.operation !== "create" || this.diff) {
                    this.printChanges(event.changes);
                }
                break;
            case "started":
                this.running.set(event.subject.urn, { subject: event.subject, began: Date.now(), line: "" });
                this.print(
                    `${this.sign(event.operation)} ${this.label(event.subject)} ${WORDS[event.operation][1]}`,
                );
                if (this.diff) {
                    this.printChanges(event.changes);
                }
                break;
            case "progress":
                this.progress(event.subject, event.line);
                break;
            case "finished":
                this.running.delete(event.subject.urn);
                this.print(
                    `${this.sign(event.operation)} ${this.label(event.subject)} ${WORDS[event.operation][2]} ` +
                        this.color.dim(`(${formatSeconds(event.seconds)})`),
                );
                break;
            case "failed":
                this.running.delete(event.subject.urn);
                this.print(`${this.color.red(`✗ ${event.subject.name} failed:`)} ${event.message}`);
                break;
            case "drifted":
                this.print(
                    `${this.sign("update")} ${this.label(event.subject)} ${event.gone ? "is gone" : "was changed"}`,
                );
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

    close(): void {
        clearInterval(this.timer);
        this.clearLive();
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

    private sign(operation: Operation): string {
        const { green, yellow, magenta, red } = this.color;
        const paint = {
            create: green,
            update: yellow,
            replace: magenta,
            delete: red,
            same: String,
            refresh: yellow,
        };
        return paint[operation](WORDS[operation][0].padStart(2));
    }

    private label({ name, type }: Subject): string {
        return `${this.color.bold(name)} ${this.color.dim(type)}`;
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
            ["same", "unchanged"],
        ];
        const parts = words.filter(([key]) => counts[key] > 0).map(([key, word]) => `${counts[key]} ${word}`);
        return `${parts.join(", ") || "nothing to do"} ${this.color.dim(`(${formatSeconds(seconds)})`)}`;
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

/** Control characters but line feed and tab; format and invisible ones but joiners and variations, as emoji have them. */
const UNPRINTABLE =
    /(?![\n\t\u200c]|\u200d|\ufe0e|\ufe0f)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Default_Ignorable_Code_Point}\u2800]/gu;

/**
 * An event may quote a container, a registry, a program or a stack file: in all its texts, escape sequences are left
 * out and what is still no character to look at is shown by its number, so that none of it commands the terminal.
 */
function printable(value: unknown): unknown {
    if (typeof value === "string") {
        return stripVTControlCharacters(value.replaceAll("\r\n", "\n")).replace(
            UNPRINTABLE,
            (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`,
        );
    }
    if (Array.isArray(value)) {
        return value.map(printable);
    }
    return isObject(value)
        ? Object.fromEntries(Object.entries(value).map(([key, inner]) => [printable(key), printable(inner)]))
        : value;
}

/** A value as a diff shows it: secrets and unknowns by name, long ones cut. */
function formatValue(value: Value | undefined): string {
    const text = JSON.stringify(maskSecrets(value ?? null, "[secret]")).replace(
        /"\[(secret|unknown)\]"/g,
        "[$1]",
    );
    return text.length > MAX_VALUE ? `${text.slice(0, MAX_VALUE)}…` : text;
}

function formatSeconds(seconds: number): string {
    return seconds < 10 ? `${seconds.toFixed(1)}s` : `${Math.round(seconds)}s`;
}
