import {
    chmodSync,
    existsSync,
    mkdirSync,
    readdirSync,
    readFileSync,
    statSync,
    writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { ensureWholeState, newestStates } from "../../../cli/stackState";
import { healthyDocker, obedientPulumi, portOffset, type Sandbox, sandbox } from "./harness";

const sample = readFileSync(
    join(__dirname, "..", "..", "..", "engine", "tests", "unit", "sample", "checkpoint.json"),
    "utf8",
);
/** What the sample's secrets were encrypted with. */
const right = { PULUMI_CONFIG_PASSPHRASE: "carbon" };
const time = JSON.parse(sample).checkpoint.latest.manifest.time as string;

function project(engine: string): Sandbox {
    const box = sandbox();
    box.install("docker", healthyDocker);
    if (engine === "pulumi") {
        box.install("pulumi", obedientPulumi);
    }
    mkdirSync(dirname(box.stateFile("dev")), { recursive: true });
    return box;
}

const aside = (box: Sandbox) =>
    readdirSync(dirname(box.stateFile("dev"))).filter((file) => file.endsWith(".aside"));

/** A session's project and stack, as far as the state is looked at. */
function stackOf(box: Sandbox) {
    const own = join(box.dir, ".carbon");
    return {
        project: { dir: box.dir, stateDir: join(own, "state"), toolsDir: join(own, "tools") },
        stack: "dev",
    };
}

describe("a state file", () => {
    const fault = (box: Sandbox, newest?: number) => {
        try {
            ensureWholeState(stackOf(box), newest);
            return "none";
        } catch (error) {
            return String(error);
        }
    };

    it.each([
        ["that is cut short", sample.slice(0, 5000), "is cut short or damaged"],
        ["that is empty", "", "is empty"],
        ["of something else", "[]", "holds something else than a stack's state"],
        [
            "of a newer version",
            '{"version": 9, "checkpoint": {}}',
            "has version 9, made by a newer program; version 4 is the newest that is understood here",
        ],
    ])("%s is named with the way back", (_, text, what) => {
        const box = project("embedded");
        const file = box.stateFile("dev");
        writeFileSync(file, text);
        expect(fault(box)).toBe(
            `UserError: The state file ${file} ${what}, and there is no backup of it. ` +
                "Type: ./carbon state forget (it sets the file aside), then: ./carbon up",
        );
        writeFileSync(`${file}.bak`, sample);
        expect(fault(box)).toBe(
            `UserError: The state file ${file} ${what}. Type: ./carbon state restore (it puts back the backup of ${time})`,
        );
    });

    it("of the version that the Pulumi CLI reads and the embedded engine does not", () => {
        const box = project("embedded");
        writeFileSync(box.stateFile("dev"), '{"version": 4, "checkpoint": {}}');
        expect(fault(box)).toBe("none");
        expect(fault(box, newestStates.embedded)).toContain(
            "version 3 is the newest that is understood here",
        );
    });

    it("with a folder in its place", () => {
        const box = project("embedded");
        mkdirSync(box.stateFile("dev"));
        expect(fault(box)).toContain(`The state file ${box.stateFile("dev")} is a folder, and`);
    });

    it.skipIf(process.getuid?.() === 0)("that may not be read", () => {
        const box = project("embedded");
        writeFileSync(box.stateFile("dev"), sample, { mode: 0 });
        expect(fault(box)).toMatch(
            /The state file .* may not be read by you\. Type: sudo chown -R \$\(id -u\) .*\.carbon\/state$/,
        );
        chmodSync(box.stateFile("dev"), 0o600);
    });
});

describe.each(["embedded", "pulumi"])("with the engine %s", (engine) => {
    it("a state file that is not whole, or whose passphrase is gone, is not touched", async () => {
        const box = project(engine);
        const file = box.stateFile("dev");
        writeFileSync(file, "half");
        const half = await box.carbon(["up", "--yes"], right);
        expect([half.exitCode, half.stderr]).toEqual([
            1,
            expect.stringContaining(`error: The state file ${file} is cut short or damaged, and`),
        ]);
        writeFileSync(file, sample);
        const lost = await box.carbon(["down", "--yes"]);
        expect([lost.exitCode, lost.stderr.split("\n").at(-1)]).toEqual([
            1,
            `error: The passphrase file ${join(box.dir, ".carbon", "passphrase")} is gone, and the state file ${file} is ` +
                "encrypted with it: put a copy of it back, or set PULUMI_CONFIG_PASSPHRASE. Where it is lost, type: " +
                "./carbon state forget (it sets the file aside), then: ./carbon up",
        ]);
        expect(existsSync(join(box.dir, ".carbon", "passphrase"))).toBe(false);
        expect(box.commands("pulumi").filter((command) => command !== "version")).toEqual([]);
    });

    it.each([
        ["the variable", "PULUMI_CONFIG_PASSPHRASE"],
        ["the file", ".carbon/passphrase"],
    ])("a state file of another passphrase than %s has is named", async (_, source) => {
        const box = project(engine);
        writeFileSync(box.stateFile("dev"), sample);
        writeFileSync(join(box.dir, ".carbon", "passphrase"), "wrong\n");
        if (engine === "pulumi") {
            box.install("pulumi", [
                { match: "^destroy ", code: 255, stderr: "error: incorrect passphrase\n" },
                ...obedientPulumi,
            ]);
        }
        const env = source.startsWith("PULUMI") ? { PULUMI_CONFIG_PASSPHRASE: "wrong" } : undefined;
        const { exitCode, stderr } = await box.carbon(["down", "--yes"], env);
        expect(exitCode).toBe(1);
        const where = env ? source : join(box.dir, source);
        expect(stderr.split("\n").at(-1)).toBe(
            `error: The passphrase in ${where} does not open the state file ${box.stateFile("dev")}: put the one that it was ` +
                "made with there, or set PULUMI_CONFIG_PASSPHRASE to it. Where it is lost, type: ./carbon state forget " +
                "(it sets the file aside), then: ./carbon up",
        );
    });
});

describe("carbon state restore", () => {
    const restore = (box: Sandbox, env: Record<string, string> = right) =>
        box.carbon(["state", "restore", "--yes"], env);

    it("puts the backup that lies beside it back, and keeps what was there", async () => {
        const box = project("embedded");
        const file = box.stateFile("dev");
        writeFileSync(file, "half");
        writeFileSync(`${file}.bak`, sample);
        const { exitCode, stdout } = await restore(box);
        expect(exitCode).toBe(0);
        expect(stdout).toContain(`The state file ${file} is the backup of ${time} again.`);
        expect(readFileSync(file, "utf8")).toBe(sample);
        expect(statSync(file).mode & 0o777).toBe(0o600);
        expect(readFileSync(join(dirname(file), aside(box)[0] ?? ""), "utf8")).toBe("half");
        expect((await box.carbon(["outputs"], right)).stdout).toContain("verified: hi");
    });

    it("takes the newest whole one that the passphrase opens, also of the Pulumi CLI's own", async () => {
        const box = project("embedded");
        const file = box.stateFile("dev");
        const kept = join(box.dir, ".carbon", "state", ".pulumi", "backups", "carbon", "dev");
        mkdirSync(kept, { recursive: true });
        mkdirSync(file);
        const dated = (year: number) => sample.replace(time, `${year}-01-01T00:00:00Z`);
        writeFileSync(`${file}.bak`, dated(2020));
        writeFileSync(join(kept, "dev.1.json"), dated(2021));
        writeFileSync(join(kept, "dev.2.json"), dated(2022).slice(0, 4000));
        writeFileSync(join(kept, "dev.3.json"), dated(2023).replace(/"salt": ?"v1:.../, '"salt":"v1:AAA'));
        expect((await restore(box)).stdout).toContain("is the backup of 2021-01-01T00:00:00Z again.");
        expect(readFileSync(file, "utf8")).toBe(dated(2021));
        expect(aside(box)).toHaveLength(1);
    });

    it("says so where there is none, and asks first", async () => {
        const box = project("embedded");
        writeFileSync(box.stateFile("dev"), "half");
        expect((await restore(box)).stderr).toMatch(
            /There is no backup of the state file .* that is whole and that the passphrase opens\. Type: \.\/carbon state forget/,
        );
        writeFileSync(`${box.stateFile("dev")}.bak`, sample);
        const { exitCode, stderr } = await box.carbon(["state", "restore"], right);
        expect([exitCode, stderr]).toEqual([2, expect.stringContaining("state restore needs a yes")]);
        expect(readFileSync(box.stateFile("dev"), "utf8")).toBe("half");
    });
});

describe("carbon state forget", () => {
    it("sets the file aside, so that a lost passphrase is no longer in the way", async () => {
        const box = project("embedded");
        writeFileSync(box.stateFile("dev"), sample);
        const { exitCode, stdout } = await box.carbon(["state", "forget", "--yes"]);
        expect(exitCode).toBe(0);
        expect(stdout).toMatch(/^The state file lies in .*dev\.json\..*\.aside now\. Type: \.\/carbon up$/);
        expect(existsSync(box.stateFile("dev"))).toBe(false);
        expect(aside(box)).toHaveLength(1);
        expect((await box.carbon(["outputs"])).stderr).toContain("The stack dev is not deployed.");
    });
});

describe("a stack's file of a passphrase that is lost with the state", () => {
    const salt = "v1:5a1tS5a1tS4=:v1:AAAAAAAAAAAAAAAA:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==";
    const up = async (config: object) => {
        const box = sandbox();
        const file = join(box.dir, "Pulumi.dev.yaml");
        const settings = {
            "carbon:appPorts": [],
            "carbon:compute": false,
            "carbon:portOffset": portOffset,
            "carbon:toolsets": [],
        };
        writeFileSync(
            file,
            JSON.stringify({
                config: { ...settings, "carbon:services": [], ...config },
                encryptionsalt: salt,
            }),
        );
        box.install("docker", healthyDocker);
        box.install("pulumi", obedientPulumi);
        return { ...(await box.carbon(["up", "--yes"])), file, commands: box.commands("pulumi") };
    };

    it("is named with the values that it does not open, before anything is touched", async () => {
        const { exitCode, stderr, commands } = await up({ "carbon:llmKey": { secure: "v1:x" } });
        expect(exitCode).toBe(1);
        expect(stderr).toContain("does not open the encrypted values of Pulumi.dev.yaml (carbon:llmKey)");
        expect(commands.filter((command) => command.startsWith("up "))).toEqual([]);
    });

    it("loses its salt where nothing in it is encrypted", async () => {
        const { exitCode, stdout, file } = await up({});
        expect(exitCode).toBe(0);
        expect(stdout).toContain("Took the encryptionsalt of a lost passphrase out of Pulumi.dev.yaml");
        expect(readFileSync(file, "utf8")).not.toContain("encryptionsalt");
    });
});
