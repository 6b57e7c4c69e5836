import { unlessMissing } from "../docker/calls";
import { EngineError } from "../engine-error";
import { runProcess } from "../run-process";
import type { Context } from "./driver";

/**
 * Pulls an image unless it is here. It is the docker command that pulls, because it knows the user's registry logins.
 * @param what The sentence that a failure begins with, such as `The container x cannot be created, because its image`.
 * @param platform The one to pull; the Docker Engine's own when absent.
 * @throws EngineError with the last of what the command said.
 */
export async function ensureImage(
    image: string,
    what: string,
    context: Context,
    platform?: string,
): Promise<void> {
    if (await unlessMissing(() => context.docker().getImage(image).inspect())) {
        return;
    }
    context.progress(`pulling ${image}`);
    let last = "";
    let layers = 0;
    const { exitCode, stopped, missing } = await runProcess(
        "docker",
        ["pull", ...(platform ? ["--platform", platform] : []), image],
        {
            env: context.env,
            cancelSignal: context.signal,
            onLine(line) {
                last = line;
                if (line.endsWith(": Pull complete")) {
                    layers += 1;
                    context.progress(`pulling ${image}: ${layers} layers`);
                }
            },
        },
    );
    if (stopped) {
        throw new EngineError(`Pulling ${image} was interrupted.`);
    }
    if (exitCode !== 0) {
        const reason = missing ? "there is no docker command" : last;
        throw new EngineError(`${what} ${image} is not here and cannot be pulled: ${reason}`);
    }
}
