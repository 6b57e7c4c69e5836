import {
    copyFileSync,
    existsSync,
    mkdtempSync,
    readdirSync,
    readFileSync,
    rmSync,
    writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { container, healthyDocker, portOffset, running, sandbox } from "./harness";

/** A stack whose port is on a server, with a fake ssh in a home whose path is short enough for a socket. */
function far(dockerContext = "ssh://ada@one:2200") {
    const box = sandbox();
    const home = mkdtempSync("/tmp/c-");
    onTestFinished(() => rmSync(home, { recursive: true }));
    copyFileSync(join(__dirname, "fakeSsh.pl"), join(box.bin, "ssh"));
    box.install("docker", [
        ...running(container("workspace", { "2222/tcp": 2222 + portOffset })),
        ...healthyDocker,
    ]);
    const env = { HOME: home, FAKE_SSH: join(home, "calls") };
    const settings = (more: Record<string, unknown>) =>
        box.configure({ portOffset, toolsets: ["databases"], compute: false, ...more });
    settings({ dockerContext });
    const carbon = (...args: string[]) => box.carbon(["tunnel", ...args], env);
    onTestFinished(async () => void (await carbon("--stop")));
    return {
        box,
        env,
        carbon,
        settings,
        note: join(box.dir, ".carbon", "tunnel-dev.json"),
        /** What ssh was to log in to, each time. */
        opened: () => {
            const calls = existsSync(env.FAKE_SSH) ? readFileSync(env.FAKE_SSH, "utf8") : "";
            return [...calls.matchAll(/-p (\d+) -- (.*)$|-- (.*)$/gm)].map(([call]) => call);
        },
        sockets: () => readdirSync(join(home, ".ssh")).filter((name) => name.startsWith("carbon-tunnel")),
        /** In the foreground, once it is open. */
        async held() {
            const child = box.start(["tunnel"], env);
            let said = "";
            for (const stream of [child.stdout, child.stderr]) {
                stream.on("data", (chunk) => {
                    said += chunk;
                });
            }
            await vi.waitFor(() => expect(said).toContain("Ctrl-C closes it"), { timeout: 10_000 });
            return { child, said: () => said };
        },
    };
}

describe("a tunnel in the background", () => {
    it("is left as it is for its own server, and gives way to one to another", async () => {
        const { carbon, opened, settings } = far();
        expect((await carbon("--background")).stdout).toMatch(/^Open: 1 port of ada@one/);
        expect((await carbon("--background")).stdout).toMatch(/^Open already/);
        expect(opened()).toEqual(["-p 2200 -- ada@one"]);
        for (const [dockerContext, login] of [
            ["ssh://ada@two:2200", "-p 2200 -- ada@two"],
            ["ssh://ada@two:2201", "-p 2201 -- ada@two"],
            ["ssh://ada@two", "-- ada@two"],
        ]) {
            settings({ dockerContext });
            expect((await carbon("--background")).stdout).toMatch(/^Open: 1 port of ada@two/);
            expect(opened().at(-1)).toBe(login);
        }
    });

    it("is nothing that `verify` looks through for another server", async () => {
        const { box, env, carbon, settings } = far();
        const verify = ["verify", "--target", "host", "--only", "port-ssh", "--json"];
        await carbon("--background");
        const through = JSON.parse((await box.carbon(verify, env)).stdout);
        expect(through.checks).toMatchObject([{ status: "FAIL" }]);
        settings({ dockerContext: "ssh://ada@two" });
        const past = JSON.parse((await box.carbon(verify, env)).stdout);
        expect(past.checks).toMatchObject([{ status: "SKIP" }]);
    });

    it("can be seen and closed once the stack lives here", async () => {
        const { carbon, settings, sockets } = far();
        await carbon("--background");
        settings({});
        expect(await carbon("--status")).toMatchObject({
            exitCode: 0,
            stdout: expect.stringContaining("ada@one"),
        });
        expect((await carbon("--stop")).stdout).toBe("The tunnel is closed.");
        expect(sockets()).toEqual([]);
        expect((await carbon("--status")).exitCode).toBe(1);
    });

    it("is open without its note, too", async () => {
        const { carbon, note, opened, sockets } = far();
        await carbon("--background");
        rmSync(note);
        expect((await carbon("--status")).stdout).toMatch(
            /^A tunnel is open, and where it leads is not noted/,
        );
        expect((await carbon("--background")).stdout).toMatch(/^Open: /);
        expect(opened()).toHaveLength(2);
        writeFileSync(note, "{");
        expect((await carbon("--stop")).stdout).toBe("The tunnel is closed.");
        expect(sockets()).toEqual([]);
    });

    it("is opened once by two that want it at once", async () => {
        const { carbon, opened } = far();
        const both = await Promise.all([carbon("--background"), carbon("--background")]);
        expect(both.map(({ stdout }) => stdout.split(":")[0]).sort()).toEqual(["Open", "Open already"]);
        expect(opened()).toHaveLength(1);
    });
});

describe("a tunnel in the foreground", () => {
    it("ends where another command closes it", async () => {
        const { carbon, held, opened, sockets } = far();
        const { child, said } = await held();
        expect((await carbon("--stop")).stdout).toBe("The tunnel is closed.");
        expect((await child).exitCode).toBe(0);
        expect(said()).toContain("The tunnel was closed by another command.");
        expect(said()).not.toContain("broke off");
        expect(opened()).toHaveLength(1);
        expect(sockets()).toEqual([]);
    });

    it("does not come back in place of one that was opened while it was broken off", async () => {
        const { env, carbon, held, opened, sockets } = far();
        const { child, said } = await held();
        writeFileSync(`${env.FAKE_SSH}.away`, "");
        process.kill(Number(readFileSync(`${env.FAKE_SSH}.pid`, "utf8")));
        await vi.waitFor(() => expect(said()).toContain("The tunnel broke off."), { timeout: 10_000 });
        rmSync(`${env.FAKE_SSH}.away`);
        expect((await carbon("--background")).stdout).toMatch(/^Open: /);
        await child;
        expect(said()).toContain("The tunnel was closed by another command.");
        expect(opened()).toHaveLength(2);
        expect(sockets()).toHaveLength(1);
        expect((await carbon("--status")).exitCode).toBe(0);
    });

    it.each(["SIGHUP", "SIGINT"] as const)("is closed with its window, or by Ctrl-C: %s", async (signal) => {
        const { held, note, sockets } = far();
        const { child } = await held();
        child.kill(signal);
        expect((await child).exitCode).toBe(signal === "SIGHUP" ? 129 : 0);
        expect(existsSync(note)).toBe(false);
        await vi.waitFor(() => expect(sockets()).toEqual([]), { timeout: 5_000 });
    });
});
