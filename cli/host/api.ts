import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
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

/** Whether it answers whoever has the token, and nobody else. */
export function isWell({ answers, guarded }: GatewayAnswer): boolean {
    return answers && guarded;
}

const timeoutMilliseconds = 5_000;

/** Address of the gateway on this machine. */
export function gatewayUrl({ address, port }: Pick<HostConfig, "address" | "port">): string {
    return `http://${address}:${port}`;
}

/** Asks the gateway for its kernels, with the token and without. It has to prove first that it knows the token. */
export async function askGateway(home: HostHome, config: HostConfig): Promise<GatewayAnswer> {
    const token = readSecret(home, "token");
    const nothing = { answers: false, guarded: false, running: [] };
    if (!token) {
        return { ...nothing, reason: "there is no token" };
    }
    try {
        const ask = (headers: Record<string, string>, path = "/api/kernels") =>
            fetch(`${gatewayUrl(config)}${path}`, {
                headers,
                redirect: "error",
                signal: AbortSignal.timeout(timeoutMilliseconds),
            });
        const nonce = randomBytes(32).toString("hex");
        const proof = await ask({}, `/carbon/proof?nonce=${nonce}`);
        if (proof.status !== 200 || !proves(await proof.text(), token, nonce)) {
            return {
                ...nothing,
                reason: "what answers there does not know the token: it is another program, or has another token",
            };
        }
        const [known, stranger] = await Promise.all([ask({ Authorization: `token ${token}` }), ask({})]);
        const guarded = stranger.status === 401;
        if (known.status !== 200) {
            return {
                ...nothing,
                guarded,
                reason: `it answers with ${known.status}`,
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

/** Whether it is what carbon_gateway.py makes of the token and a number. */
function proves(said: string, token: string, nonce: string): boolean {
    const expected = createHmac("sha256", token).update(`carbon gateway ${nonce}`).digest("hex");
    return said.length === expected.length && timingSafeEqual(Buffer.from(said), Buffer.from(expected));
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
