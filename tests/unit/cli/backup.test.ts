import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Part } from "../../../cli/backup/manifest";
import { chooseParts } from "../../../cli/commands/restore";
import { healthyDocker, type Rule, sandbox } from "./harness";

/** An engine with the stack's volumes, and no container. */
function withVolumes(du: string): Rule[] {
    return [
        { match: "^volume ls ", stdout: "carbon-dev-home\ncarbon-dev-keys\n" },
        { match: "^run [^]*du --summarize", stdout: du },
        { match: "^run [^]*tar_of", stdout: "a tar" },
        ...healthyDocker,
    ];
}
const little = "bytes home 1000\nbytes keys 1000\n";

function project(du = little) {
    const box = sandbox();
    box.install("docker", withVolumes(du));
    const passphrase = join(box.dir, "passphrase");
    writeFileSync(passphrase, "secret words\n");
    return { box, file: join(box.dir, "dev.age"), withPassphrase: ["--passphrase-file", passphrase] };
}

describe("carbon backup", () => {
    it("writes one file, by containers that can do nothing but read, and backup verify reads it", async () => {
        const { box, file, withPassphrase } = project();
        const made = await box.carbon(["backup", "--to", file, ...withPassphrase]);
        expect(made.stderr).toBe("");
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
        expect(existsSync(`${file}.part`)).toBe(false);
    });

    it("leaves nothing of a backup that failed", async () => {
        const { box, file, withPassphrase } = project();
        const failing = { match: "^run [^]*tar_of", code: 2, stderr: "tar: ./x: Input/output error\n" };
        box.install("docker", [failing, ...withVolumes(little)]);
        const { exitCode, stderr } = await box.carbon(["backup", "--to", file, ...withPassphrase]);
        expect(exitCode).toBe(1);
        expect(stderr).toContain("Could not back up keys: tar: ./x: Input/output error");
        expect(existsSync(file) || existsSync(`${file}.part`)).toBe(false);
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

    it("finds parts by their names and by their services'", () => {
        const part = (name: string, service?: string): Part => ({ name, service, kind: "volume", bytes: 0 });
        const parts = [part("home", "workspace"), part("postgres", "postgres")];
        expect(chooseParts(parts, ["workspace", "postgres"])).toEqual(parts);
        expect(() => chooseParts(parts, ["mysql"])).toThrow(
            "The backup has no part mysql. It has: home (workspace), postgres.",
        );
    });
});
