import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { type HostConfig, type HostHome, readSecret } from "../../host/home";
import { messageOf } from "../errors";

/** A kernel that runs, as the gateway lists it. */
const runningKernels = z.array(z.object({ id: z.string(), name: z.string(), execution_state: z.string() }));
export type RunningKernel = z.infer<typeof runningKernels>[number];

/** What the gateway says when it is asked. */
export interface GatewayAnswer {
    answers: boolean;
    /** True where it answers nobody without the token. */
    guarded: boolean;
    running: RunningKernel[];
    /** Why it is not as it should be. */
    reason?: string;
}

const timeoutMilliseconds = 5_000;

/** Address of the gateway on this machine. */
export function gatewayUrl({ address, port }: Pick<HostConfig, "address" | "port">): string {
    return `http://${address}:${port}`;
}

/** Asks the gateway for its kernels, with the token and without. */
export async function askGateway(home: HostHome, config: HostConfig): Promise<GatewayAnswer> {
    const token = readSecret(home, "token");
    const nothing = { answers: false, guarded: false, running: [] };
    if (!token) {
        return { ...nothing, reason: "there is no token" };
    }
    try {
        const url = `${gatewayUrl(config)}/api/kernels`;
        const ask = (headers: Record<string, string>) =>
            fetch(url, { headers, redirect: "error", signal: AbortSignal.timeout(timeoutMilliseconds) });
        const [known, stranger] = await Promise.all([ask({ Authorization: `token ${token}` }), ask({})]);
        const guarded = stranger.status === 401;
        if (known.status !== 200) {
            return {
                ...nothing,
                guarded,
                reason: `it answers with ${known.status}: it is another server, or has another token`,
            };
        }
        return {
            answers: true,
            guarded,
            running: runningKernels.parse(await known.json()),
            ...(!guarded && { reason: "it answers without a token" }),
        };
    } catch (error) {
        const cause = error instanceof Error && error.cause ? error.cause : error;
        return { ...nothing, reason: messageOf(cause) };
    }
}

/** Waits until the gateway answers; the last answer where it does not. */
export async function awaitGateway(
    home: HostHome,
    config: HostConfig,
    { seconds, signal }: { seconds: number; signal: AbortSignal },
): Promise<GatewayAnswer> {
    const deadline = Date.now() + seconds * 1000;
    for (;;) {
        const answer = await askGateway(home, config);
        if (answer.answers || Date.now() > deadline || signal.aborted) {
            return answer;
        }
        await sleep(300);
    }
}
