import { describe, expect, it } from "vitest";
import { statusTable } from "../../../cli/commands/status";
import type { Verification } from "../../../cli/documents";
import { formatBytes, formatDuration } from "../../../cli/output";
import { credentialTable, renderTable, urlTable, verificationTable } from "../../../cli/tables";

describe("tables", () => {
    it("shows addresses in the catalogue's order, with what their logins ask for", () => {
        const urls = {
            postgres: "postgresql://carbon@127.0.0.1:5432/carbon",
            ssh: "ssh://carbon@127.0.0.1:2222",
            novnc: "http://127.0.0.1:6900/",
        };
        expect(`\n${urlTable(urls)}\n`).toMatchInlineSnapshot(`
          "
          What                            Where                                      Login
          Desktop in the browser (noVNC)  http://127.0.0.1:6900/                     password
          Shell (SSH)                     ssh://carbon@127.0.0.1:2222                user carbon + password
          PostgreSQL                      postgresql://carbon@127.0.0.1:5432/carbon  user carbon + password
          "
        `);
    });

    it("shows logins in clear", () => {
        const credentials = {
            ssh: { user: "carbon", password: "abc" },
            vnc: { password: "12345678" },
            jupyter: { token: "def" },
            postgres: { user: "carbon", password: "ghi", database: "carbon" },
        };
        expect(`\n${credentialTable(credentials)}\n`).toMatchInlineSnapshot(`
          "
          What                                                          User    Password, token or key
          Shell (SSH)                                                   carbon  abc
          Desktop in the browser (noVNC), Desktop (VNC), Desktop (RDP)          12345678
          JupyterLab                                                            def
          PostgreSQL                                                    carbon  ghi                     database carbon
          "
        `);
    });

    it("shows the login that the browser's desktop asks for where TLS is on, and what opens Spark's pages", () => {
        const urls = {
            novnc: "https://192.0.2.1:6900/",
            vnc: "vnc://192.0.2.1:5900",
            sparkWorkerUi: "http://127.0.0.1:8081/",
        };
        const credentials = {
            vnc: { password: "12345678" },
            desktop: { user: "carbon", password: "abc" },
        };
        expect(`\n${urlTable(urls)}\n`).toMatchInlineSnapshot(`
          "
          What                            Where                    Login
          Desktop in the browser (noVNC)  https://192.0.2.1:6900/  user carbon + password
          Desktop (VNC)                   vnc://192.0.2.1:5900     password
          Spark (first worker's page)     http://127.0.0.1:8081/   user carbon + password
          "
        `);
        expect(`\n${credentialTable(credentials, { urls })}\n`).toMatchInlineSnapshot(`
          "
          What                            User    Password, token or key
          Desktop (VNC), Desktop (RDP)            12345678
          Desktop in the browser (noVNC)  carbon  abc
          "
        `);
        expect(credentialTable(credentials)).not.toContain("abc");
    });

    it("shows a check, with what to do under one that failed", () => {
        const check = { expected: "", observed: "", seconds: 0, hint: "" };
        const document: Verification = {
            schema: 1,
            target: "workspace",
            checks: [
                { ...check, id: "platform", status: "PASS", observed: "linux/arm64" },
                { ...check, id: "mps", status: "UNSUPPORTED", observed: "no Metal in a Linux container" },
                {
                    ...check,
                    id: "redis",
                    status: "FAIL",
                    expected: "PONG",
                    observed: "refused",
                    hint: "see its log",
                },
                { ...check, id: "torch", status: "SKIP", observed: "the toolset torch is off" },
            ],
            summary: { pass: 1, fail: 1, skip: 1, unsupported: 1 },
        };
        expect(`\n${verificationTable(document)}\n`).toMatchInlineSnapshot(`
          "
          Check     Status       Observed
          platform  PASS         linux/arm64
          mps       UNSUPPORTED  no Metal in a Linux container
          redis     FAIL         refused
                                 expected: PONG
                                 hint: see its log
          torch     SKIP         the toolset torch is off

          1 pass, 1 fail, 1 skip, 1 unsupported
          "
        `);
    });

    it("shows services with their age", () => {
        const now = Date.parse("2026-01-02T00:00:00Z");
        const services = [
            {
                service: "workspace",
                container: "carbon-dev-workspace",
                state: "running",
                health: "healthy",
                memory: { used: 512 * 2 ** 20, limit: 6144 * 2 ** 20, killed: 0 },
                outOfMemory: false,
                ports: [2222, 6900],
                since: "2026-01-01T23:30:00Z",
                restarts: 0,
                ok: true,
            },
            {
                service: "redis",
                container: "carbon-dev-redis",
                state: "exited",
                outOfMemory: false,
                ports: [],
                since: "2025-12-25T00:00:00Z",
                restarts: 0,
                ok: false,
            },
        ];
        expect(`\n${statusTable(services, now)}\n`).toMatchInlineSnapshot(`
          "
          Service    Container             State    Health   Since   Memory           Ports
          workspace  carbon-dev-workspace  running  healthy  30 min  512 of 6144 MiB  2222, 6900
          redis      carbon-dev-redis      exited   -        8 d     -                -
          "
        `);
    });

    it("wraps the last column at the terminal's width", () => {
        const table = renderTable(
            ["A", "B"],
            [["one", "several words that do not fit on one line of it"]],
            30,
        );
        expect(Math.max(...table.split("\n").map((line) => line.length))).toBeLessThanOrEqual(30);
        expect(table.split("\n").length).toBeGreaterThan(2);
    });
});

describe("numbers", () => {
    it.each([
        [850, "850 ms"],
        [12_400, "12 s"],
        [200_000, "3 min 20 s"],
    ])("formats %i ms as %s", (milliseconds, text) => {
        expect(formatDuration(milliseconds)).toBe(text);
    });

    it.each([
        [900e6, "900 MB"],
        [1.55e9, "1.6 GB"],
    ])("formats %i bytes as %s", (bytes, text) => {
        expect(formatBytes(bytes)).toBe(text);
    });
});
