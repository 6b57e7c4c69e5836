/** Lines of a step's output that are worth keeping for the case that it fails. */
const TAIL = 30;
/** How often a step that takes long says so, in milliseconds. */
const STILL_RUNNING_MS = 10_000;

/** Characters of a step's instruction that are shown. */
const LONGEST_TITLE = 90;

interface Step {
    title: string;
    started: number;
    announced: number;
    tail: string[];
}

/**
 * Reads `docker buildx build --progress plain` and tells it in few lines: one for each step when it is done, one
 * every ten seconds for those that run, and for a failed one the end of its output.
 */
export class BuildProgress {
    private readonly steps = new Map<string, Step>();
    private failed: Step | undefined;
    /** What is not about a step: warnings, and the error with which buildx ends. */
    private readonly rest: string[] = [];
    private readonly timer: NodeJS.Timeout;

    constructor(private readonly tell: (line: string) => void) {
        this.timer = setInterval(() => this.announceRunning(), STILL_RUNNING_MS);
        this.timer.unref();
    }

    /** Takes one line of buildx's output. */
    read(line: string): void {
        const [, id, text] = /^#(\d+) (.*)$/.exec(line) ?? [];
        if (id === undefined || text === undefined) {
            this.rest.push(line);
            return;
        }
        const step = this.steps.get(id);
        if (!step) {
            // #0 only names the builder.
            if (id !== "0") {
                const now = Date.now();
                this.steps.set(id, { title: readable(text), started: now, announced: now, tail: [] });
            }
            return;
        }
        const done = /^(?:DONE|CACHED|CANCELED)\b/.exec(text)?.[0];
        if (text.startsWith("ERROR")) {
            this.failed = step;
            step.tail.push(/exit code: \d+/.exec(text)?.[0] ?? text);
        } else if (done) {
            this.finish(id, step, done);
        } else if (text !== "..." && readable(text) !== step.title) {
            // Those two are how buildx marks that it turns to another step and back.
            step.tail.push(text.replace(/^[\d.]+ /, ""));
            step.tail.splice(0, step.tail.length - TAIL);
        }
    }

    private finish(id: string, step: Step, how: string): void {
        this.steps.delete(id);
        // Housekeeping of the builder ("[internal] load …") says nothing to the user unless it takes long.
        if (how !== "CANCELED" && (!step.title.startsWith("[internal]") || seconds(step) >= 5)) {
            this.tell(how === "CACHED" ? `${step.title} (cached)` : `${step.title} ${seconds(step)}s`);
        }
    }

    private announceRunning(): void {
        for (const step of this.steps.values()) {
            if (Date.now() - step.announced >= STILL_RUNNING_MS) {
                step.announced = Date.now();
                const last = step.tail.at(-1)?.trim().slice(0, LONGEST_TITLE);
                this.tell(`${step.title} still running, ${seconds(step)}s${last ? `: ${last}` : ""}`);
            }
        }
    }

    /** Ends the timer. */
    close(): void {
        clearInterval(this.timer);
    }

    /** What went wrong: the failed step and the end of its output, or buildx's own last words. */
    failure(): string {
        if (this.failed) {
            return `${this.failed.title}\n${this.failed.tail.join("\n")}`;
        }
        return this.rest.filter(Boolean).slice(-TAIL).join("\n");
    }
}

/** A step's instruction in one line, without its mounts: `[base 4/19] RUN install-toolset desktop.txt`. */
function readable(instruction: string): string {
    const words = instruction.replace(/\s--(?:mount|link|chmod)(?:=\S+)?/g, "").replace(/\s+/g, " ");
    return words.length > LONGEST_TITLE ? `${words.slice(0, LONGEST_TITLE)}…` : words;
}

function seconds(step: Step): number {
    return Math.round((Date.now() - step.started) / 1000);
}
