import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";
import { forPulumi } from "../../../cli/commands/pulumi";
import { healthyDocker, obedientPulumi, type Sandbox, sandbox } from "./harness";

const anything = [{ match: "", stdout: "as pulumi says it\n" }];
const gone = 2 ** 22 + 1;

/** A lock of the Pulumi CLI's, as its file backend writes it. */
function lock(box: Sandbox, content: string | object, stack = "dev"): string {
    const folder = join(box.dir, ".carbon", "state", ".pulumi", "locks", "organization", "carbon", stack);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "0d0c.json"), typeof content === "string" ? content : JSON.stringify(content));
    writeFileSync(join(folder, "0d0c.json.attrs"), "{}");
    return folder;
}

const lockOf = (pid: number, host: string, timestamp = "2026-01-02T03:04:05.678901+01:00") => ({
    pid,
    username: "ada",
    hostname: host,
    timestamp,
});
const locks = (folder: string) => readdirSync(folder).filter((file) => file.endsWith(".json"));

describe("carbon pulumi", () => {
    it("runs a command of the Pulumi CLI with the project's backend, passphrase and stack", async () => {
        const box = sandbox();
        box.install("pulumi", anything);
        const { exitCode, stdout, stderr } = await box.carbon(["pulumi", "stack", "ls"]);
        expect([exitCode, stdout, stderr]).toEqual([0, "as pulumi says it", ""]);
        expect(box.calls("pulumi")).toMatchObject([
            {
                args: ["stack", "ls"],
                env: {
                    PULUMI_BACKEND_URL: pathToFileURL(join(box.dir, ".carbon", "state")).href,
                    PULUMI_CONFIG_PASSPHRASE_FILE: join(box.dir, ".carbon", "passphrase"),
                    PULUMI_STACK: "dev",
                },
            },
        ]);
    });

    it("hands on everything that follows as it is, also what carbon has itself, and takes what comes before", async () => {
        const box = sandbox();
        box.install("pulumi", anything);
        const args = [
            "up",
            "--json",
            "--yes",
            "--help",
            "-s",
            "third",
            "--engine=x",
            "--",
            "-h",
            "two words",
        ];
        await box.carbon(["--stack", "second", "pulumi", ...args]);
        expect(box.calls("pulumi")).toMatchObject([{ args, env: { PULUMI_STACK: "second" } }]);
    });

    it("takes the stack from the environment, too, and leaves a backend of the user's alone", async () => {
        const box = sandbox();
        box.install("pulumi", anything);
        await box.carbon(["pulumi", "whoami"], { STACK: "second", PULUMI_BACKEND_URL: "s3://mine" });
        expect(box.calls("pulumi")).toMatchObject([
            { env: { PULUMI_STACK: "second", PULUMI_BACKEND_URL: "s3://mine" } },
        ]);
    });

    it("has the CLI's exit code, and passes Ctrl-C on", async () => {
        const box = sandbox();
        box.install("pulumi", [
            { match: "^up$", stdout: "busy\n", untilInterrupted: true, code: 42 },
            { match: "", code: 7 },
        ]);
        expect((await box.carbon(["pulumi", "preview"])).exitCode).toBe(7);
        const child = box.start(["pulumi", "up"]);
        for await (const line of child.iterable()) {
            if (line === "busy") {
                child.kill("SIGINT");
            }
        }
        expect((await child).exitCode).toBe(42);
    });

    it("says how to get the CLI where there is none", async () => {
        const { exitCode, stderr } = await sandbox().carbon(["pulumi", "stack", "ls"]);
        expect(exitCode).toBe(1);
        expect(stderr).toMatch(
            /^error: There is no pulumi on PATH, nor among the project's tools\. .*make setup$/,
        );
    });

    it.each([
        [["--engine", "pulumi", "up"]],
        [["--stack", "pulumi", "status"]],
        [["logs", "pulumi"]],
        [["up"]],
        [[]],
    ])("is not what %j means", (argv) => {
        expect(forPulumi(argv)).toBeUndefined();
    });
});

describe("a lock of a killed `pulumi up`", () => {
    it.each([
        ["up", ["up", "--yes"]],
        ["pulumi up", ["pulumi", "up"]],
        ["pulumi stack rm", ["pulumi", "stack", "rm"]],
    ])("is gone before %s calls the CLI", async (_, args) => {
        const box = sandbox();
        box.install("docker", healthyDocker);
        box.install("pulumi", [...obedientPulumi, ...anything]);
        const folder = lock(box, lockOf(gone, hostname()));
        expect((await box.carbon(args)).exitCode).toBe(0);
        expect(locks(folder)).toEqual([]);
    });

    it("is gone also where the project's own backend is named", async () => {
        const box = sandbox();
        box.install("docker", healthyDocker);
        box.install("pulumi", [...obedientPulumi, ...anything]);
        const folder = lock(box, lockOf(gone, hostname()));
        const env = { PULUMI_BACKEND_URL: pathToFileURL(join(box.dir, ".carbon", "state")).href };
        expect((await box.carbon(["up", "--yes"], env)).exitCode).toBe(0);
        expect(locks(folder)).toEqual([]);
        lock(box, lockOf(gone, hostname()));
        await box.carbon(["pulumi", "up"], { PULUMI_BACKEND_URL: `${env.PULUMI_BACKEND_URL}/` });
        expect(locks(folder)).toEqual([]);
    });

    it("stays where the user has another backend", async () => {
        const box = sandbox();
        box.install("docker", healthyDocker);
        box.install("pulumi", obedientPulumi);
        const folder = lock(box, lockOf(gone, hostname()));
        await box.carbon(["up", "--yes"], { PULUMI_BACKEND_URL: "s3://mine" });
        expect(locks(folder)).toHaveLength(1);
    });
});

describe("a lock of a run that may live", () => {
    const attempt = async (content: string | object, args: string[], ...engine: string[]) => {
        const box = sandbox();
        box.install("docker", healthyDocker);
        box.install("pulumi", [...obedientPulumi, ...anything]);
        const folder = lock(box, content, args.includes("other") ? "other" : "dev");
        box.configure({}, "other");
        const { exitCode, stderr } = await box.carbon([...args, ...engine]);
        expect(locks(folder)).toHaveLength(1);
        expect(box.commands("pulumi").filter((command) => /^(up|destroy|refresh)/.test(command))).toEqual([]);
        return { exitCode, stderr, folder };
    };

    it.each([
        [["up", "--yes"], []],
        [
            ["up", "--yes"],
            ["--engine", "embedded"],
        ],
        [["down", "--yes"], []],
        [
            ["down", "--yes"],
            ["--engine", "embedded"],
        ],
        [["pulumi", "up"], []],
    ])("stops %j %j, and says who, since when, and what to type", async (args, engine) => {
        expect(await attempt(lockOf(7, "elsewhere"), args, ...engine)).toMatchObject({
            exitCode: 1,
            stderr: expect.stringMatching(
                /error: Stack 'dev' is locked by ada@elsewhere \(pid 7\) since 2026-01-02T03:04:05\.678901\+01:00\. Wait for that run to end; where it is gone, type: \.\/carbon pulumi cancel --yes$/,
            ),
        });
    });

    it("names the stack, if it is another one", async () => {
        const { stderr } = await attempt(lockOf(7, "elsewhere"), ["up", "--yes", "--stack", "other"]);
        expect(stderr).toMatch(/Stack 'other' .* type: \.\/carbon pulumi cancel --yes --stack other$/);
    });

    it("on this machine can be ended", async () => {
        const content = lockOf(process.pid, hostname(), new Date().toISOString());
        const { stderr } = await attempt(content, ["up", "--yes"]);
        expect(stderr).toMatch(
            new RegExp(`Wait for that run to end, or have it stop: kill -INT ${process.pid}$`),
        );
    });

    it("is one that cannot be read", async () => {
        const { exitCode, stderr, folder } = await attempt("", ["up", "--yes"]);
        expect(exitCode).toBe(1);
        expect(stderr).toBe(
            `error: The lock file ${join(folder, "0d0c.json")} is unreadable, so that nobody knows who holds stack 'dev'. ` +
                "Where no other run is going on, type: ./carbon pulumi cancel --yes",
        );
    });

    it("does not stop what changes nothing", async () => {
        expect((await attempt(lockOf(7, "elsewhere"), ["outputs"])).exitCode).toBe(0);
        expect((await attempt(lockOf(7, "elsewhere"), ["pulumi", "stack", "ls"])).exitCode).toBe(0);
    });
});

describe("carbon pulumi cancel", () => {
    it("is the CLI's where there is one", async () => {
        const box = sandbox();
        box.install("pulumi", anything);
        lock(box, lockOf(7, "elsewhere"));
        await box.carbon(["pulumi", "cancel", "--yes"]);
        expect(box.calls("pulumi")).toMatchObject([
            { args: ["cancel", "--yes"], env: { PULUMI_STACK: "dev" } },
        ]);
    });

    it.each([
        ["the stack", ["cancel", "--yes"], "dev"],
        ["another one", ["cancel", "--yes", "--stack", "other"], "other"],
        ["another one by its place", ["cancel", "other", "-y"], "other"],
    ])("unlocks %s where there is none", async (_, args, stack) => {
        const box = sandbox();
        const folder = lock(box, lockOf(7, "elsewhere"), stack);
        const { exitCode, stdout } = await box.carbon(["pulumi", ...args]);
        expect([exitCode, stdout]).toEqual([0, `The stack ${stack} is unlocked; removed 1 lock.`]);
        expect(readdirSync(folder)).toEqual([]);
    });

    it("asks first", async () => {
        const box = sandbox();
        const folder = lock(box, lockOf(7, "elsewhere"));
        const { exitCode, stderr } = await box.carbon(["pulumi", "cancel"]);
        expect(exitCode).toBe(2);
        expect(stderr).toContain("pulumi cancel needs a yes");
        expect(existsSync(join(folder, "0d0c.json"))).toBe(true);
    });
});
