import { formatBytes, type Output } from "../output";
import type { Progress } from "./archive";

const millisecondsBetween = 200;

/** What is written or read of each part, with the rate: a line that is written over on a terminal, one a part elsewhere. */
export function progressLine(output: Output): { show: Progress; end(): void } {
    let [part, bytes, began, shown] = ["", 0, 0, 0];
    const { isTTY } = output.progress;
    const text = () => {
        const seconds = (Date.now() - began) / 1000;
        const rate = seconds > 0.1 ? `, ${formatBytes(bytes / seconds)}/s` : "";
        return `  ${part}: ${formatBytes(bytes)}${rate}`;
    };
    const end = () => {
        if (part !== "") {
            output.progress.write(isTTY ? `\r\x1b[K${text()}\n` : "");
            if (!isTTY) {
                output.note(text());
            }
        }
        part = "";
    };
    return {
        show(next, sofar) {
            if (next !== part) {
                end();
                [part, began] = [next, Date.now()];
            }
            bytes = sofar;
            if (isTTY && Date.now() - shown > millisecondsBetween) {
                shown = Date.now();
                output.progress.write(`\r\x1b[K${text()}`);
            }
        },
        end,
    };
}
