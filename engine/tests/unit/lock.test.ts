import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { lockStack } from "../../src/lock";

let root: string;
let dir: string;
beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "lock-"));
    dir = join(root, ".pulumi", "locks", "organization", "demo", "dev");
});
afterEach(() => rmSync(root, { recursive: true }));

function foreignLock(pid: number, host: string): void {
    mkdirSync(dir, { recursive: true });
    const content = { pid, username: "someone", hostname: host, timestamp: "2026-01-01T00:00:00Z" };
    writeFileSync(join(dir, "foreign.json"), JSON.stringify(content));
}

describe("a stack's lock", () => {
    it("keeps a second run out, and names the first", () => {
        const release = lockStack(root, "demo", "dev");
        expect(() => lockStack(root, "demo", "dev")).toThrow(`(pid ${process.pid}) since`);
        release();
        lockStack(root, "demo", "dev")();
        expect(readdirSync(dir)).toEqual([]);
    });

    it("of the real CLI on another machine counts", () => {
        foreignLock(1, "elsewhere");
        expect(() => lockStack(root, "demo", "dev")).toThrow("locked by someone@elsewhere (pid 1)");
    });

    it("of a process of this machine that is gone is taken away", () => {
        foreignLock(2 ** 22 + 1, hostname());
        const release = lockStack(root, "demo", "dev");
        expect(readdirSync(dir)).toHaveLength(1);
        release();
    });
});
