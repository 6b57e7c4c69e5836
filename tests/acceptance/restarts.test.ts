import { setTimeout as sleep } from "node:timers/promises";
import type Docker from "dockerode";
import { afterAll, describe, expect, it } from "vitest";
import { everyService } from "../../catalogue";
import { logs, makeNetwork, removeAll, run, startRole, untilHealthy } from "../image/base-container";
import { baseImage, readImageJson } from "../image/base-image";
import { computeImage } from "../image/compute-image";

// A service that ends and is started again, every second for ever, counts as healthy in between.

const base = baseImage();
const compute = computeImage();

afterAll(removeAll);

/** The services of the container and the process that each of them is now. */
async function processes(container: Docker.Container): Promise<Record<string, string>> {
    const script = `cd /run/carbon/service; for service in *; do echo "$service $(s6-svstat -o pid,up "$service")"; done`;
    const lines = (await run(container, ["sh", "-c", script])).split("\n");
    return Object.fromEntries(lines.map((line) => [line.split(" ")[0], line.slice(line.indexOf(" ") + 1)]));
}

/** Every role of the suite's own images, with TLS off, and on where it speaks it. */
const modes = everyService.flatMap(({ name: role, image: from, toolset, loopbackOnly }) =>
    [base, compute]
        .filter((image) => {
            const { image: kind, toolsets } = readImageJson(image);
            return (from === "suite" || from === kind) && (!toolset || toolsets.includes(toolset));
        })
        .flatMap((image) => (loopbackOnly ? [false] : [false, true]).map((tls) => ({ image, role, tls }))),
);

describe("within a minute", () => {
    it("no service of any role ends, with TLS off or on", async () => {
        // Workers look for their master by its name, and nobody else for anybody.
        const network = await makeNetwork();
        const containers = [];
        for (const [index, mode] of modes.entries()) {
            const name = mode.role === "spark-master" ? mode.role : `${mode.role}-${index}`;
            const container = await startRole({ ...mode, stack: { tls: mode.tls }, host: { network, name } });
            containers.push({ mode, container });
        }
        for (const { container } of containers) {
            await untilHealthy(container, 300);
        }
        const before = await Promise.all(containers.map(({ container }) => processes(container)));
        await sleep(60_000);
        for (const [index, { mode, container }] of containers.entries()) {
            const after = await processes(container);
            expect(Object.keys(after).length).toBeGreaterThan(0);
            expect(after, `${JSON.stringify(mode)}\n${await logs(container)}`).toEqual(before[index]);
            expect(Object.values(after)).not.toContain("-1 false");
        }
    });
});
