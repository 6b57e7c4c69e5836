import { createInterface } from "node:readline";
import { execa } from "execa";
import { machineName } from "../../catalogue/names";
import { lines } from "../docker";
import { parseDocument } from "../documents";
import { Interrupted, UserError } from "../errors";
import { type Message, message } from "./documents";

/** Where the program lies in the image. */
const program = "/usr/local/lib/carbon/models.py";
/** Where it lies in the project, for the host. */
export const programSource = `dockerfiles/compute/rootfs/llm${program}`;
const longestWords = 10_000;

/** A program and its arguments. */
export type CommandLine = [string, ...string[]];

/**
 * A container of the compute image with a volume of models and nothing else: no rights but to become the owner of the
 * volume's folder, no file of its own that it can write, and no log.
 */
export function inContainer(image: string, volume: string): CommandLine {
    const flags = [
        ...["--rm", "--interactive", "--pull=never", "--log-driver=none", "--read-only", "--pids-limit=512"],
        ...["--cap-drop=ALL", "--cap-add=SETGID", "--cap-add=SETUID", "--security-opt=no-new-privileges"],
        ...["--user=0:0", `--add-host=${machineName}:host-gateway`],
        `--mount=type=volume,source=${volume},target=/models`,
        "--entrypoint=/opt/carbon/venv/bin/python",
    ];
    return ["docker", "run", ...flags, image, "-I", program];
}

/**
 * Hands a request to `models.py`, and each line that it answers to `onMessage`. The request goes through a pipe: what is
 * secret in it is on no command line, and in no environment. The program ends when the pipe closes, so that it does not
 * outlive this one, however that ends.
 *
 * @throws UserError with what the program says; Interrupted at Ctrl-C.
 */
export async function askHelper(
    [command, ...args]: CommandLine,
    request: object,
    { signal, onMessage }: { signal: AbortSignal; onMessage(message: Message): void },
): Promise<void> {
    const child = execa(command, args, { reject: false, buffer: false, stdin: "pipe" });
    let words = "";
    child.stderr.on("data", (chunk) => {
        words = `${words}${chunk}`.slice(-longestWords);
    });
    // It may be gone before it has read everything.
    child.stdin.on("error", () => {});
    const stop = () => child.stdin.end();
    signal.addEventListener("abort", stop);
    child.stdin.write(`${JSON.stringify(request)}\n`);
    let failure: string | undefined;
    try {
        for await (const line of createInterface({ input: child.stdout })) {
            const said = parseDocument(
                "What models.py says",
                message,
                line,
                "Build the images anew: ./carbon build",
            );
            if ("error" in said) {
                failure = said.error;
            } else {
                onMessage(said);
            }
        }
    } finally {
        stop();
        signal.removeEventListener("abort", stop);
    }
    const { exitCode, code } = await child;
    if (signal.aborted) {
        throw new Interrupted();
    }
    if (failure !== undefined) {
        throw new UserError(failure);
    }
    if (exitCode !== 0) {
        const missing = code === "ENOENT" ? `${command} is not installed` : undefined;
        // Docker's last line tells of its help.
        const last = lines(words)
            .filter((line) => !/^(?:See|Run) '/.test(line))
            .at(-1);
        throw new UserError(
            `Looking after the models failed: ${missing ?? (last || `code ${exitCode ?? 128}`)}`,
        );
    }
}
