import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { writeArchive } from "../../../cli/backup/archive";
import type { Part } from "../../../cli/backup/manifest";
import { ensureStill } from "../../../cli/backup/sources";
import { describeVolume } from "../../../cli/backup/volumes";
import { chooseParts, knownParts } from "../../../cli/commands/restore";
import type { ContainerDetails } from "../../../cli/docker";
import { container, healthyDocker, type Rule, running, sandbox } from "./harness";

/** An engine with the stack's volumes, and no container. */
function withVolumes(du: string): Rule[] {
    return [
        // What users have made.
        { match: "^volume ls --filter", stdout: "" },
        { match: "^volume ls ", stdout: "carbon-dev-home\ncarbon-dev-keys\n" },
        { match: "^run .*du --summarize", stdout: du },
        { match: "^run .*tar_of", stdout: "a tar" },
        { match: "^volume create ", stdout: "" },
        { match: "^run .*df --output", stdout: "free 1000000000\n" },
        { match: "^run .*zstd --decompress", untilClosed: true },
        ...healthyDocker,
    ];
}
const little = "bytes home 1000\nbytes keys 1000\n";

function project(du = little) {
    const box = sandbox();
    box.install("docker", withVolumes(du));
    const passphrase = join(box.dir, "passphrase");
    writeFileSync(passphrase, "secret words\n", { mode: 0o600 });
    return { box, file: join(box.dir, "dev.age"), withPassphrase: ["--passphrase-file", passphrase] };
}

/** Half-written backups. */
function halves(folder: string): string[] {
    return readdirSync(folder).filter((name) => name.endsWith(".part"));
}

/** Writes a note of a restore that was cut off. */
function cutOff(dir: string, parts = ["home"], only = true): string {
    const folder = join(dir, ".carbon", "restoring");
    mkdirSync(folder, { recursive: true });
    const note = { file: "/backups/dev.age", parts, only, when: "2026-01-01T00:00:00.000Z", stopped: [] };
    writeFileSync(join(folder, "dev.json"), JSON.stringify(note));
    return join(folder, "dev.json");
}

/** A backup with these documents, and a little volume. */
async function madeBackup(
    file: string,
    documents: Record<string, string>,
    volumes = ["home"],
): Promise<void> {
    const parts: Part[] = [
        ...Object.keys(documents).map((name): Part => ({ name, kind: "document", bytes: 0 })),
        ...volumes.map((name): Part => ({ name, kind: "volume", bytes: 1 })),
    ];
    const texts: Record<string, string> = {
        ...documents,
        ...Object.fromEntries(volumes.map((name) => [name, "a tar"])),
    };
    await writeArchive(
        file,
        {
            manifest: {
                schema: 1,
                stack: "dev",
                created: "2026-01-01T00:00:00.000Z",
                versions: { suite: "0.1.0", containers: {} },
                parts,
            },
            sources: Object.entries(texts).map(([name, text]) => ({
                name,
                async *open() {
                    yield Buffer.from(text);
                },
            })),
        },
        { passphrase: "secret words", workFactor: 1 },
    );
}

describe("carbon backup", () => {
    it("writes one file, by containers that can do nothing but read, and backup verify reads it", async () => {
        const { box, file, withPassphrase } = project();
        const made = await box.carbon(["backup", "--to", file, ...withPassphrase]);
        // Nobody has deployed the stack here.
        expect(made.stderr).toMatch(/^! This clone has no state of the stack dev.*\n?$/);
        expect(made.stdout).toContain(`${file} (`);
        const { stdout, exitCode } = await box.carbon([
            "backup",
            "verify",
            file,
            "--json",
            ...withPassphrase,
        ]);
        expect(exitCode).toBe(0);
        const { manifest, whole } = JSON.parse(stdout);
        expect(whole).toBe(true);
        expect(manifest.parts.map(({ name }: Part) => name)).toEqual(["settings", "keys", "home"]);
    });

    it("asks nobody where nobody is there: wrong usage, which names the option", async () => {
        const { box, file } = project();
        for (const command of [["backup"], ["restore", file, "--yes"]]) {
            const { exitCode, stderr } = await box.carbon(command);
            expect(exitCode).toBe(2);
            expect(stderr).toContain("add --passphrase-file FILE");
        }
    });

    it("wants a passphrase of some length", async () => {
        const { box, file, withPassphrase } = project();
        writeFileSync(withPassphrase[1] ?? "", "\n");
        const { exitCode, stderr } = await box.carbon(["backup", "--to", file, ...withPassphrase]);
        expect(exitCode).toBe(2);
        expect(stderr).toContain("The passphrase is empty");
    });

    it("replaces a file after a yes alone", async () => {
        const { box, file, withPassphrase } = project();
        writeFileSync(file, "precious");
        const asked = await box.carbon(["backup", "--to", file, ...withPassphrase]);
        expect(asked.exitCode).toBe(2);
        expect(asked.stderr).toContain("--yes");
        const { exitCode } = await box.carbon(["backup", "--to", file, "--yes", ...withPassphrase]);
        expect(exitCode).toBe(0);
    });

    it("takes a name of its own in a folder, and refuses one that is not there", async () => {
        const { box, withPassphrase } = project();
        const folder = join(box.dir, "backups");
        const missing = await box.carbon(["backup", "--to", join(folder, "x.age"), ...withPassphrase]);
        expect(missing.exitCode).toBe(2);
        expect(missing.stderr).toContain(`there is no folder ${folder}`);
        mkdirSync(folder);
        await box.carbon(["backup", "--to", folder, ...withPassphrase]);
        expect(readdirSync(folder)).toEqual([
            expect.stringMatching(/^carbon-dev-\d{4}-\d\d-\d\dT\d{4}\.age$/),
        ]);
    });

    it("looks first whether there is room, with figures", async () => {
        const { box, file, withPassphrase } = project("bytes home 1000000000000000\n");
        const { exitCode, stderr } = await box.carbon(["backup", "--to", file, ...withPassphrase]);
        expect(exitCode).toBe(1);
        expect(stderr).toMatch(/hold 1000000\.0 GB, and \d+\.\d GB are free in/);
        expect(halves(box.dir)).toEqual([]);
    });

    it("leaves nothing of a backup that failed", async () => {
        const { box, file, withPassphrase } = project();
        const failing = { match: "^run .*tar_of", code: 2, stderr: "tar: ./x: Input/output error\n" };
        box.install("docker", [failing, ...withVolumes(little)]);
        const { exitCode, stderr } = await box.carbon(["backup", "--to", file, ...withPassphrase]);
        expect(exitCode).toBe(1);
        expect(stderr).toContain("Could not back up keys: tar: ./x: Input/output error");
        expect(existsSync(file)).toBe(false);
        expect(halves(box.dir)).toEqual([]);
    });

    it("writes under a name of its own, and leaves another run's half alone", async () => {
        const { box, file, withPassphrase } = project();
        const other = `${file}.0123456789ab.part`;
        writeFileSync(other, "half");
        const { exitCode, stderr } = await box.carbon(["backup", "--to", file, ...withPassphrase]);
        expect(exitCode).toBe(0);
        expect(stderr).toContain("dev.age.0123456789ab.part. Remove it unless that run still goes on");
        expect(readFileSync(other, "utf8")).toBe("half");
        expect(halves(box.dir)).toHaveLength(1);
    });

    it("warns of a passphrase that others may read, once", async () => {
        const { box, file, withPassphrase } = project();
        chmodSync(withPassphrase[1] ?? "", 0o644);
        const { stderr } = await box.carbon(["backup", "--to", file, ...withPassphrase]);
        expect(stderr.match(/Others may read the passphrase in .*chmod 600 /g)).toHaveLength(1);
    });

    it("ends what a run that was killed has left at work", async () => {
        const { box, file, withPassphrase } = project();
        box.install("docker", [
            { match: "^ps .*label=carbon.helper=dev$", stdout: "left-over\n" },
            { match: "^rm --force left-over$" },
            ...withVolumes(little),
        ]);
        expect((await box.carbon(["backup", "--to", file, ...withPassphrase])).exitCode).toBe(0);
        const commands = box.commands("docker");
        const removal = commands.indexOf("rm --force left-over");
        expect(removal).toBeGreaterThan(-1);
        expect(removal).toBeLessThan(commands.findIndex((command) => command.startsWith("run ")));
    });

    it("names the containers that Docker does not let go on", async () => {
        const { box, file, withPassphrase } = project();
        const mounts = [{ Name: "carbon-dev-home", RW: true }];
        const workspace = container("workspace", {}, { Mounts: mounts });
        const inspected = { match: "^inspect --type container --format", stdout: "paused\n" };
        box.install("docker", [
            inspected,
            { match: "^ps .*label=carbon.helper", stdout: "" },
            ...running(workspace),
            { match: "^pause ", stdout: "" },
            { match: "^unpause ", code: 1, stderr: "Error response from daemon: cannot unpause\n" },
            ...withVolumes(little),
        ]);
        const { exitCode, stderr } = await box.carbon(["backup", "--to", file, ...withPassphrase]);
        expect(exitCode).toBe(1);
        expect(stderr).toContain(
            "Still paused, as Docker does not let it go on: carbon-dev-workspace. Type: docker unpause carbon-dev-workspace",
        );
        expect(existsSync(file)).toBe(false);
    });

    it("is given up where something let a container run meanwhile", () => {
        const one = (Status: string, StartedAt = "2026-01-01T00:00:00Z") =>
            ({
                ...container("workspace", {}, { Mounts: [{ Name: "carbon-dev-home", RW: true }] }),
                State: { Status, StartedAt },
            }) as unknown as ContainerDetails;
        const spec = { name: "home", path: "/home/carbon" } as Parameters<typeof describeVolume>[1];
        const volumeOf = (state: ContainerDetails) => describeVolume("dev", spec, [state]);
        const ran = one("running");
        expect(() => ensureStill(volumeOf(ran), [ran], [one("paused")])).not.toThrow();
        for (const after of [[one("running")], [one("exited")], []]) {
            expect(() => ensureStill(volumeOf(ran), [ran], after)).toThrow(
                "carbon-dev-workspace did not stand still",
            );
        }
        const lay = one("exited");
        expect(() => ensureStill(volumeOf(lay), [], [lay])).not.toThrow();
        for (const after of [one("running", "2026-01-02T00:00:00Z"), one("exited", "2026-01-02T00:00:00Z")]) {
            expect(() => ensureStill(volumeOf(lay), [], [after])).toThrow(
                "did not stand still while home was copied",
            );
        }
    });

    it("knows no other backend than the project's own", async () => {
        const { box, file, withPassphrase } = project();
        const env = { PULUMI_BACKEND_URL: "s3://bucket" };
        const { exitCode, stderr } = await box.carbon(["backup", "--to", file, ...withPassphrase], env);
        expect(exitCode).toBe(1);
        expect(stderr).toContain("PULUMI_BACKEND_URL names another backend");
    });
});

describe("carbon restore", () => {
    it("refuses a foreign file, before Docker is asked to do anything", async () => {
        const { box, withPassphrase } = project();
        const foreign = await box.carbon([
            "restore",
            join(box.dir, "Pulumi.yaml"),
            "--yes",
            ...withPassphrase,
        ]);
        expect(foreign.exitCode).toBe(1);
        expect(foreign.stderr).toContain("is no backup that");
        expect(box.calls()).toEqual([]);
    });

    it("refuses another stack's file, before Docker is asked to do anything", async () => {
        const { box, file, withPassphrase } = project();
        await box.carbon(["backup", "--to", file, ...withPassphrase]);
        const before = box.commands("docker").length;
        const other = await box.carbon(["restore", file, "--yes", "--stack", "arm64", ...withPassphrase]);
        expect(other.exitCode).toBe(2);
        expect(other.stderr).toContain("holds the stack dev, and not arm64");
        expect(box.commands("docker")).toHaveLength(before);
    });

    it("restores nothing without a yes", async () => {
        const { box, file, withPassphrase } = project();
        const { exitCode, stderr } = await box.carbon(["restore", file, ...withPassphrase]);
        expect(exitCode).toBe(2);
        expect(stderr).toContain("restore needs a yes");
    });

    const command = {
        urn: "urn:pulumi:dev::carbon::command:local:Command::x",
        type: "command:local:Command",
        custom: true,
        id: "x",
        inputs: { create: "true", delete: "touch /tmp/pwned" },
        outputs: {},
        dependencies: [],
        propertyDependencies: {},
    };
    it.each([
        ["a command among the passwords", JSON.stringify([command])],
        ["no JSON", "[{"],
        ["another shape", "{}"],
    ])("refuses a backup with %s, before Docker is asked to do anything", async (_, passwords) => {
        const { box, file, withPassphrase } = project();
        await madeBackup(file, { passwords });
        const { exitCode, stderr } = await box.carbon(["restore", file, "--yes", ...withPassphrase]);
        expect(exitCode).toBe(1);
        expect(stderr).toContain("holds no backup that `./carbon backup` has written (its part passwords:");
        expect(stderr).toContain("Nothing was changed.");
        expect(box.calls()).toEqual([]);
    });

    it("restores a part, and notes it meanwhile", async () => {
        const { box, file, withPassphrase } = project();
        await madeBackup(file, {});
        const note = cutOff(box.dir);
        const { exitCode, stdout, stderr } = await box.carbon([
            ...["restore", file, "--only", "workspace", "--yes", "--json"],
            ...withPassphrase,
        ]);
        expect(stderr).not.toContain("error");
        expect(exitCode).toBe(0);
        expect(JSON.parse(stdout)).toEqual({
            stack: "dev",
            file,
            seconds: expect.any(Number),
            restored: ["home"],
        });
        expect(existsSync(note)).toBe(false);
        const fill = box.commands("docker").find((one) => one.includes("zstd --decompress")) ?? "";
        expect(fill).toMatch(/\.carbon-restore-[0-9a-f]{16}\/new/);
    });

    it("is finished first where it was cut off", async () => {
        const { box, file, withPassphrase } = project();
        await madeBackup(file, {}, ["home", "keys"]);
        const note = cutOff(box.dir, ["home", "keys"]);
        const commands = [
            ["backup", "--to", `${file}.2`],
            ["restore", file, "--only", "home", "--yes"],
        ];
        for (const [name = "", ...rest] of [
            ...commands.map((one) => [...one, ...withPassphrase]),
            ["up", "--yes"],
            ["start"],
        ]) {
            const { exitCode, stderr } = await box.carbon([name, ...rest]);
            expect(exitCode, name).toBe(1);
            expect(stderr, name).toContain(
                "A restore of /backups/dev.age, begun 2026-01-01T00:00:00.000Z, did not come to its end, so that home, keys may be of different days. " +
                    "Type it again: ./carbon restore /backups/dev.age --only home keys (or give the data up: ./carbon down --volumes)",
            );
        }
        expect(existsSync(note)).toBe(true);
    });

    it("is forgotten with the volumes", async () => {
        const { box } = project();
        box.install("docker", [{ match: "^volume rm " }, ...withVolumes(little)]);
        const note = cutOff(box.dir);
        const { exitCode, stderr } = await box.carbon(["down", "--volumes", "--yes"]);
        expect(exitCode, stderr).toBe(0);
        expect(existsSync(note)).toBe(false);
    });

    it("says which volumes are the backup's where one could not be filled, and notes it", async () => {
        const { box, file, withPassphrase } = project();
        await madeBackup(file, {}, ["keys", "home"]);
        const full = {
            match: "^run .*carbon-dev-home.*zstd --decompress",
            code: 2,
            stdout: "unchanged\n",
            stderr: "tar: ./x: Cannot write: No space left on device\n",
        };
        box.install("docker", [full, ...withVolumes(little)]);
        const { exitCode, stderr } = await box.carbon([
            "restore",
            file,
            "--only",
            "keys",
            "home",
            "--yes",
            ...withPassphrase,
        ]);
        expect(exitCode).toBe(1);
        expect(stderr).toContain(
            "Could not restore home: tar: ./x: Cannot write: No space left on device. Restored already: keys. Type the same command again",
        );
        expect(
            JSON.parse(readFileSync(join(box.dir, ".carbon", "restoring", "dev.json"), "utf8")).parts,
        ).toEqual(["keys", "home"]);
    });

    it("ends in the words of the program whose pipe broke, and with nothing noted where nothing changed", async () => {
        const { box, file, withPassphrase } = project();
        const large = "x".repeat(3_000_000);
        box.install("docker", [{ match: "^run .*tar_of", stdout: large }, ...withVolumes(little)]);
        await box.carbon(["backup", "--to", file, ...withPassphrase]);
        const full = {
            match: "^run .*zstd --decompress",
            code: 2,
            stdout: "unchanged\n",
            stderr: "tar: ./x: Cannot write: No space left on device\n",
        };
        box.install("docker", [full, ...withVolumes(little)]);
        const { stderr } = await box.carbon(["restore", file, "--only", "home", "--yes", ...withPassphrase]);
        expect(stderr).toContain(
            "Could not restore home: tar: ./x: Cannot write: No space left on device. Nothing was changed.",
        );
        expect(existsSync(join(box.dir, ".carbon", "restoring", "dev.json"))).toBe(false);
    });

    it("leaves the settings as they were where it is refused", async () => {
        const { box, file, withPassphrase } = project();
        await madeBackup(file, { settings: "config:\n  carbon:toolsets: [databases]\n" });
        box.install("docker", [{ match: "^run .*df --output", stdout: "free 0\n" }, ...withVolumes(little)]);
        const before = readFileSync(join(box.dir, "Pulumi.dev.yaml"), "utf8");
        const { exitCode, stderr } = await box.carbon(["restore", file, "--yes", ...withPassphrase]);
        expect(exitCode).toBe(1);
        expect(stderr).toContain("Nothing was overwritten.");
        expect(readFileSync(join(box.dir, "Pulumi.dev.yaml"), "utf8")).toBe(before);
        expect(readdirSync(box.dir).filter((name) => name.includes(".before-"))).toEqual([]);
    });

    it("takes over another user's stack when told to alone", async () => {
        const { box, file, withPassphrase } = project();
        await madeBackup(file, {});
        box.install("docker", [
            { match: "^volume ls --filter", stdout: "user=somebody\n" },
            ...withVolumes(little),
        ]);
        const args = ["restore", file, "--only", "home", "--yes", ...withPassphrase];
        const refused = await box.carbon(args);
        expect(refused.exitCode).toBe(1);
        expect(refused.stderr).toContain("--take-over");
        expect(box.commands("docker").some((one) => one.includes("zstd --decompress"))).toBe(false);
        expect((await box.carbon([...args, "--take-over"])).exitCode).toBe(0);
    });

    it("has a place for volumes of the catalogue alone, by its services", () => {
        const part = (name: string, service?: string, kind: Part["kind"] = "volume"): Part => ({
            name,
            service,
            kind,
            bytes: 0,
        });
        const stranger = part("x-home", "postgres");
        const { known, unknown } = knownParts([
            stranger,
            part("home", "postgres"),
            part("postgres", "postgres"),
            part("settings", undefined, "document"),
            part("passwords"),
        ]);
        expect(unknown).toEqual(["x-home", "passwords"]);
        expect(chooseParts(known, ["postgres"]).map(({ name }) => name)).toEqual(["postgres"]);
        expect(chooseParts(known, ["workspace", "home"]).map(({ name }) => name)).toEqual(["home"]);
    });

    it("finds parts by their names and by their services'", () => {
        const part = (name: string, service?: string): Part => ({ name, service, kind: "volume", bytes: 0 });
        const parts = [part("home", "workspace"), part("postgres", "postgres")];
        expect(chooseParts(parts, ["workspace", "postgres"])).toEqual(parts);
        expect(() => chooseParts(parts, ["mysql"])).toThrow(
            "The backup has no part mysql. It has: home (workspace), postgres.",
        );
    });
});

describe("a stack that another run holds", () => {
    it("is neither backed up nor restored, stopped or started", async () => {
        const { box, file, withPassphrase } = project();
        await madeBackup(file, {});
        const locks = join(box.dir, ".carbon", "state", ".pulumi", "locks", "organization", "carbon", "dev");
        mkdirSync(locks, { recursive: true });
        const held = {
            pid: process.pid,
            username: "me",
            hostname: "elsewhere",
            timestamp: new Date().toISOString(),
        };
        writeFileSync(join(locks, "x.json"), JSON.stringify(held));
        for (const command of [
            ["backup", "--to", `${file}.2`, ...withPassphrase],
            ["restore", file, "--only", "home", "--yes", ...withPassphrase],
            ["stop"],
            ["start"],
        ]) {
            const { exitCode, stderr } = await box.carbon(command);
            expect(exitCode, command[0]).toBe(1);
            expect(stderr, command[0]).toContain("is locked by me@elsewhere");
        }
        expect(box.commands("docker").filter((one) => /^(run|stop|start|volume create)/.test(one))).toEqual(
            [],
        );
    });
});
