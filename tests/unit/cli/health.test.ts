import { describe, expect, it } from "vitest";
import { everyService, patienceSeconds } from "../../../catalogue";
import { containers } from "../../../cli/documents";
import { describeWait, patienceOf } from "../../../cli/health";
import { container } from "./harness";

function details(name: string, Status: string, Health?: object) {
    const made = container(name, {}, { State: { Status, Health } });
    const [one] = containers.parse([made]);
    if (!one) {
        throw new Error("none");
    }
    return one;
}

describe("how long a container is waited for", () => {
    it("is never less than its start period and the checks that may fail after it, nor than three minutes", () => {
        const seconds = Object.fromEntries(
            everyService.map(({ name, health }) => [name, patienceSeconds(health)]),
        );
        expect(seconds).toMatchObject({ workspace: 180, postgres: 720, redis: 720, "spark-worker": 210 });
        expect(Math.min(...Object.values(seconds))).toBe(180);
    });

    it("is its service's while it starts, and three minutes where it is ill", () => {
        expect(patienceOf(details("postgres", "running", { Status: "starting" }))).toBe(720);
        expect(patienceOf(details("spark-worker-2", "running", { Status: "starting" }))).toBe(210);
        expect(patienceOf(details("postgres", "running", { Status: "unhealthy" }))).toBe(180);
        expect(patienceOf(details("postgres", "restarting", { Status: "starting" }))).toBe(180);
        expect(patienceOf(details("strange", "running", { Status: "starting" }))).toBe(180);
    });

    it("is said with the service, and with what its check says", () => {
        const Log = [{ ExitCode: 1, Output: "postgres: recovery\n" }];
        const waiting = [
            details("postgres", "running", { Status: "starting", Log }),
            details("redis", "running", { Status: "starting" }),
        ];
        expect(describeWait(waiting)).toBe(
            "Not healthy yet, and waited for: postgres (postgres: recovery), redis",
        );
    });
});
