import { formatBytes, formatDuration, type Output } from "../output";
import { printableLine } from "../printable";
import type { PullEvent } from "./documents";

/** Percent between two lines, where the output is no terminal. */
const step = 10;

/** Tells how far a pull is: on one line of a terminal, which is written anew, or on a line for every tenth. */
export class PullProgress {
    private readonly rewrites: boolean;
    private started = { time: 0, done: 0 };
    private told = 0;

    constructor(private readonly output: Output) {
        this.rewrites = Boolean(output.progress.isTTY);
    }

    show(event: PullEvent): void {
        if ("verifying" in event) {
            this.line(`Verifying ${printableLine(event.verifying)}`);
        } else if ("pulling" in event) {
            this.started = { time: Date.now(), done: event.done };
            this.told = percent(event);
            const from = event.done > 0 ? `, of which ${formatBytes(event.done)} are there` : "";
            this.end();
            this.output.note(`Pulling ${printableLine(event.pulling)} (${formatBytes(event.total)}${from})`);
        } else if (this.rewrites || percent(event) >= this.told + step) {
            this.told = percent(event);
            this.line(`${printableLine(event.progress)}: ${describe(event, this.started, Date.now())}`);
        }
    }

    /** Leaves the terminal's line free for what comes next. */
    end(): void {
        if (this.rewrites) {
            this.output.progress.write("\r\x1b[K");
        }
    }

    private line(text: string): void {
        if (this.rewrites) {
            const columns = this.output.progress.columns || 80;
            this.output.progress.write(`\r\x1b[K${text.slice(0, columns - 1)}`);
        } else {
            this.output.note(text);
        }
    }
}

function percent({ done, total }: { done: number; total: number }): number {
    return total > 0 ? Math.floor((100 * done) / total) : 100;
}

/** `45 % of 2.5 GB, 12 MB/s, 2 min 3 s left`. */
function describe(
    event: { done: number; total: number },
    started: { time: number; done: number },
    now: number,
): string {
    const speed = ((event.done - started.done) * 1000) / Math.max(now - started.time, 1);
    const left = speed > 0 ? `, ${formatDuration(((event.total - event.done) / speed) * 1000)} left` : "";
    return `${percent(event)} % of ${formatBytes(event.total)}, ${formatBytes(speed)}/s${left}`;
}
