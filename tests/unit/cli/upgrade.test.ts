import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
    container,
    healthyDocker,
    obedientPulumi,
    type Rule,
    rulesFile,
    running,
    type Sandbox,
    sandbox,
} from "./harness";

const old = "localhost/carbon/base:old";
const older = "localhost/carbon/base:older";

function images(ref: string, id = "sha256:0") {
    return {
        at: "2026-01-01T00:00:00.000Z",
        images: { base: { ref: `${ref}@sha256:${"1".repeat(64)}`, id } },
    };
}

function saveGenerations(box: Sandbox, document: object): string {
    const file = join(box.dir, ".carbon", "generations", "dev.json");
    mkdirSync(join(file, ".."), { recursive: true });
    writeFileSync(file, JSON.stringify({ schema: 1, stack: "dev", ...document }));
    return file;
}

function readJson(file: string) {
    return JSON.parse(readFileSync(file, "utf8"));
}

/** A lock of another run of this machine, which is this one. */
function lock(box: Sandbox): { folder: string; content: string } {
    const folder = join(box.dir, ".carbon", "state", ".pulumi", "locks", "organization", "carbon", "dev");
    const timestamp = new Date().toISOString();
    const content = { pid: process.pid, username: "me", hostname: hostname(), timestamp };
    return { folder, content: JSON.stringify(content) };
}

function stackFile(box: Sandbox): string {
    return join(box.dir, "Pulumi.dev.yaml");
}

const well = [...running(container("workspace")), ...healthyDocker];

describe("carbon up keeps the images that ran", () => {
    it("writes down what runs, for its user alone", async () => {
        const box = sandbox();
        box.install("docker", well);
        box.install("pulumi", obedientPulumi);
        const { exitCode, stderr } = await box.carbon(["up", "--yes"]);
        expect(exitCode, stderr).toBe(0);
        const file = join(box.dir, ".carbon", "generations", "dev.json");
        expect(readJson(file)).toMatchObject({
            schema: 1,
            stack: "dev",
            current: { images: { base: { id: "sha256:0" } } },
        });
        expect(readJson(file).attempt).toBeUndefined();
        expect(statSync(file).mode & 0o777).toBe(0o600);
    });

    it("has what ran before an upgrade as the way back, one generation", async () => {
        const box = sandbox();
        box.install("docker", well);
        box.install("pulumi", obedientPulumi);
        const mongodb = { ref: "docker.io/library/mongo:7" };
        const before = { ...images(older), images: { ...images(older).images, mongodb } };
        const file = saveGenerations(box, { current: images(old), previous: before });
        expect((await box.carbon(["up", "--yes"])).exitCode).toBe(0);
        expect(readJson(file).previous.images.base.ref).toContain(old);
        expect(JSON.stringify(readJson(file))).not.toContain(older);
        // What is official may be anybody's.
        const removed = box.commands("docker").filter((command) => command.startsWith("image rm "));
        expect(removed).toEqual([`image rm ${older}`]);
    });

    it("knows what ran from the stack's state where no record was kept", async () => {
        const box = sandbox();
        box.install("docker", well);
        box.install("pulumi", obedientPulumi);
        box.saveState("dev", [old]);
        expect((await box.carbon(["up", "--yes"])).exitCode).toBe(0);
        const file = join(box.dir, ".carbon", "generations", "dev.json");
        expect(readJson(file).previous.images.base.ref).toContain(old);
    });
});

/** An `up` whose first deployment fails after it replaced a container. */
function failing(box: Sandbox): void {
    const replaced = join(box.dir, "replaced");
    const docker: Rule[] = [
        { match: "^inspect ", stdout: JSON.stringify([container("workspace")]) },
        ...well,
    ];
    box.install("docker", docker);
    box.install("pulumi", [{ match: "^up ", code: 1, writes: [replaced, ""] }, ...obedientPulumi]);
}

describe("an upgrade that fails", () => {
    it("changes nothing where no container was touched", async () => {
        const box = sandbox();
        failing(box);
        const file = saveGenerations(box, { current: images(old) });
        const { exitCode, stderr } = await box.carbon(["up", "--yes", "--rollback"]);
        expect(exitCode).toBe(1);
        expect(stderr).toContain("pulumi up failed");
        expect(readJson(file).attempt).toBeUndefined();
        expect(readFileSync(stackFile(box), "utf8")).not.toContain("heldImages");
    });

    it("leaves all as it is where another run holds the stack: what changed is that one's", async () => {
        const box = sandbox();
        box.configure({ portOffset: 21_400, toolsets: ["databases"], compute: false, verify: "off" });
        box.install("docker", well);
        const { folder, content } = lock(box);
        mkdirSync(folder, { recursive: true });
        const taken: Rule = { match: "^up ", code: 1, writes: [join(folder, "other.json"), content] };
        box.install("pulumi", [taken, ...obedientPulumi]);
        const file = saveGenerations(box, { current: images(old) });
        const { exitCode, stderr } = await box.carbon(["up", "--yes", "--rollback"]);
        expect(exitCode).toBe(1);
        expect(stderr).toContain("is locked by me@");
        expect(readJson(file).attempt).toBeDefined();
        expect(readFileSync(stackFile(box), "utf8")).not.toContain("heldImages");
    });

    it.each([
        ["--rollback", {}, true],
        ["the setting always", { rollback: "always" }, true],
        ["the setting always, and --no-rollback", { rollback: "always" }, false],
        ["nobody to ask", {}, false],
    ])("with %s", async (name, settings, isBack) => {
        const box = sandbox();
        box.configure({
            portOffset: 21_400,
            toolsets: ["databases"],
            compute: false,
            verify: "off",
            ...settings,
        });
        box.install("docker", well);
        // The first deployment fails, and leaves another container behind.
        const left = running({ ...container("workspace"), Id: "another" });
        const after = { docker: [...left, ...healthyDocker], pulumi: obedientPulumi };
        const failure: Rule = { match: "^up ", code: 1, writes: [join(box.dir, "rules"), rulesFile(after)] };
        box.install("pulumi", [failure, ...obedientPulumi]);
        const file = saveGenerations(box, { current: images(old) });
        const flags = name.includes("--no-rollback")
            ? ["--no-rollback"]
            : name === "--rollback"
              ? [name]
              : [];
        const { exitCode, stderr } = await box.carbon(["up", "--yes", ...flags]);
        expect(exitCode, stderr).toBe(1);
        expect(box.commands("pulumi").filter((command) => command.startsWith("up "))).toHaveLength(
            isBack ? 2 : 1,
        );
        const held = readFileSync(stackFile(box), "utf8");
        if (isBack) {
            expect(stderr).toContain("The images of before are back");
            expect(held).toContain(old);
            expect(readJson(file).attempt).toBeUndefined();
            expect(readJson(file).current.images.base.ref).toContain(old);
        } else {
            expect(stderr).toContain("./carbon rollback puts them back");
            expect(held).not.toContain("heldImages");
            expect(readJson(file).attempt).toBeDefined();
        }
    });
});

describe("carbon rollback", () => {
    it("says in one sentence that there is nothing to go back to", async () => {
        const box = sandbox();
        box.install("docker", well);
        box.install("pulumi", obedientPulumi);
        const { exitCode, stderr } = await box.carbon(["rollback", "--yes"]);
        expect(exitCode).toBe(1);
        expect(stderr.trim()).toBe(
            "error: There is nothing to go back to: the stack dev has had no other images.",
        );
    });

    it("refuses where the image of before is gone, and changes nothing", async () => {
        const box = sandbox();
        box.install("docker", [{ match: "^image inspect ", code: 1 }, ...well]);
        box.install("pulumi", obedientPulumi);
        saveGenerations(box, { current: images(old), previous: images(older) });
        const { exitCode, stderr } = await box.carbon(["rollback", "--yes"]);
        expect(exitCode).toBe(1);
        expect(stderr).toContain(`the image ${older} is no longer here`);
        expect(box.commands("pulumi").some((command) => command.startsWith("up "))).toBe(false);
    });

    it("refuses where another image has the tag, and the one of before is gone", async () => {
        const box = sandbox();
        box.install("docker", [{ match: "^image inspect .*sha256:77", code: 1 }, ...well]);
        box.install("pulumi", obedientPulumi);
        saveGenerations(box, { current: images(old), previous: images(older, "sha256:77") });
        const { exitCode, stderr } = await box.carbon(["rollback", "--yes"]);
        expect(exitCode).toBe(1);
        expect(stderr).toContain(`the image ${older} is no longer here`);
        expect(readFileSync(stackFile(box), "utf8")).not.toContain("heldImages");
    });

    it("touches neither a tag nor the stack's file where another run holds the stack", async () => {
        const box = sandbox();
        box.install("docker", [{ match: "^tag ", stdout: "" }, ...well]);
        box.install("pulumi", obedientPulumi);
        saveGenerations(box, { current: images(old), previous: images(older, "sha256:77") });
        const { folder, content } = lock(box);
        mkdirSync(folder, { recursive: true });
        writeFileSync(join(folder, "other.json"), content);
        const { exitCode, stderr } = await box.carbon(["rollback", "--yes"]);
        expect(exitCode).toBe(1);
        expect(stderr).toContain("is locked by me@");
        expect(box.commands("docker").some((command) => command.startsWith("tag "))).toBe(false);
        expect(readFileSync(stackFile(box), "utf8")).not.toContain("heldImages");
    });

    it("gives an image of before its tag again, where another has it", async () => {
        const box = sandbox();
        box.install("docker", [{ match: "^tag ", stdout: "" }, ...well]);
        box.install("pulumi", obedientPulumi);
        saveGenerations(box, { current: images(old), previous: images(older, "sha256:77") });
        expect((await box.carbon(["rollback", "--yes"])).exitCode).toBe(0);
        expect(box.commands("docker")).toContain(`tag sha256:77 ${older}`);
    });

    it("holds the stack in its file, and keeps what else is there", async () => {
        const box = sandbox();
        box.install("docker", well);
        box.install("pulumi", obedientPulumi);
        const text = [
            "# Mine.",
            "config:",
            "  carbon:appPorts: [] # none",
            "  # ports",
            `  carbon:portOffset: 21400`,
            "  carbon:toolsets: [databases]",
            "  carbon:compute: false",
            "secretsprovider: passphrase",
            "",
        ].join("\n");
        writeFileSync(stackFile(box), text);
        saveGenerations(box, { current: images(old), previous: images(older) });
        const { exitCode, stderr, stdout } = await box.carbon(["rollback", "--yes", "--json"]);
        expect(exitCode, stderr).toBe(0);
        expect(JSON.parse(stdout).images.base).toContain(older);
        expect(readFileSync(stackFile(box), "utf8")).toBe(
            text.replace(
                "secretsprovider",
                [
                    "  # The images that a rollback put back; `./carbon up --new-images` tries the new ones.",
                    "  carbon:heldImages:",
                    `    base: ${older}@sha256:${"1".repeat(64)}`,
                    "secretsprovider",
                ].join("\n"),
            ),
        );
        const held = await box.carbon(["up", "--yes"]);
        expect(held.exitCode, held.stderr).toBe(0);
        expect(held.stderr).toContain("which a rollback put back");
        const left = await box.carbon(["up", "--yes", "--new-images"]);
        expect(left.exitCode, left.stderr).toBe(0);
        expect(readFileSync(stackFile(box), "utf8")).toBe(text);
    });

    it("refuses a record that is no record", async () => {
        const box = sandbox();
        box.install("docker", well);
        const file = saveGenerations(box, { current: 1 });
        const { exitCode, stderr } = await box.carbon(["rollback", "--yes"]);
        expect(exitCode).toBe(1);
        expect(stderr).toContain(`The record of images ${file} has another shape`);
    });
});

describe("held images", () => {
    it("must be here", async () => {
        const box = sandbox();
        box.configure({
            portOffset: 21_400,
            toolsets: ["databases"],
            compute: false,
            heldImages: { base: old },
        });
        box.install("docker", [{ match: `^image inspect .*${old}`, code: 1 }, ...well]);
        box.install("pulumi", obedientPulumi);
        const { exitCode, stderr } = await box.carbon(["up", "--yes"]);
        expect(exitCode).toBe(1);
        expect(stderr).toContain(`${old}, which carbon:heldImages in Pulumi.dev.yaml names, is not here`);
    });
});

describe("data of another version", () => {
    const volumes = "carbon-dev-postgres\ncarbon-dev-redis\ncarbon-dev-mosquitto\n";

    async function up(found: string) {
        const box = sandbox();
        box.install("docker", [
            { match: "^volume ls ", stdout: volumes },
            { match: "^run --rm --network none --read-only ", stdout: found },
            ...well,
        ]);
        box.install("pulumi", obedientPulumi);
        const result = await box.carbon(["up", "--yes"]);
        return { ...result, deployed: box.commands("pulumi").some((command) => command.startsWith("up ")) };
    }

    it.each([
        ["an older PostgreSQL", "postgres 16\nredis 12\nmosquitto 6\n", "PostgreSQL 16"],
        ["a newer PostgreSQL beside the one that runs", "postgres 17\npostgres 18\n", "PostgreSQL 17, 18"],
        ["a newer Redis", "postgres 17\nredis 13\n", "Redis's RDB 13"],
        ["a newer Mosquitto", "mosquitto 7\n", "Mosquitto's store 7"],
    ])("of %s is refused before anything is touched", async (_, found, named) => {
        const { exitCode, stderr, deployed } = await up(found);
        expect(exitCode).toBe(1);
        expect(stderr).toContain(`holds data of ${named}, and the server`);
        expect(stderr).toContain("What runs goes on. ");
        expect(stderr).toContain('see the section "Data of another version" of docs/guide.md');
        expect(deployed).toBe(false);
    });

    it("has a section in the guide", () => {
        const guide = readFileSync(join(__dirname, "..", "..", "..", "docs", "guide.md"), "utf8");
        expect(guide).toContain("### Data of another version\n");
    });

    it("is recorded with each generation", async () => {
        const box = sandbox();
        box.install("docker", well);
        box.install("pulumi", obedientPulumi);
        expect((await box.carbon(["up", "--yes"])).exitCode).toBe(0);
        const { current } = readJson(join(box.dir, ".carbon", "generations", "dev.json"));
        expect(current.data).toEqual({ postgres: 17, redis: 12, mosquitto: 6 });
    });

    function rollback(data: object | undefined, found: string, more: Rule[] = []) {
        const box = sandbox();
        box.install("docker", [
            { match: "^volume ls ", stdout: volumes },
            { match: `^run --rm --network none --read-only .* ${older} `, stdout: found },
            ...more,
            ...well,
        ]);
        box.install("pulumi", obedientPulumi);
        const file = saveGenerations(box, { current: images(old), previous: { ...images(older), data } });
        return { box, file, ended: box.carbon(["rollback", "--yes"]) };
    }

    it.each([
        ["Redis's RDB 12", { postgres: 17, redis: 11, mosquitto: 6 }],
        ["Mosquitto's store 6", { postgres: 17, redis: 12, mosquitto: 5 }],
        ["PostgreSQL 17", { postgres: 16, redis: 12, mosquitto: 6 }],
    ])("than an image of before reads stops a rollback: %s", async (named, data) => {
        const { box, ended } = rollback(data, "postgres 17\nredis 12\nmosquitto 6\n");
        const { exitCode, stderr } = await ended;
        expect(exitCode).toBe(1);
        expect(stderr).toContain(`holds data of ${named}, and the server`);
        expect(readFileSync(stackFile(box), "utf8")).not.toContain("heldImages");
    });

    it("than this version's goes back with an image that reads it, and the record says so", async () => {
        const data = { postgres: 16, redis: 11, mosquitto: 5 };
        const { file, ended } = rollback(data, "postgres 16\nredis 11\nmosquitto 5\nimage-postgres 16\n");
        const { exitCode, stderr } = await ended;
        expect(exitCode, stderr).toBe(0);
        expect(readJson(file).current.data).toEqual(data);
    });

    it("is looked for with the held image alone", async () => {
        const box = sandbox();
        const heldImages = { base: `${old}@sha256:${"1".repeat(64)}` };
        box.configure({ portOffset: 21_400, toolsets: ["databases"], compute: false, heldImages });
        box.install("docker", [
            { match: "^volume ls ", stdout: volumes },
            { match: `^image inspect .*${old}`, code: 1 },
            ...well,
        ]);
        box.install("pulumi", obedientPulumi);
        const { exitCode, stderr } = await box.carbon(["up", "--yes"]);
        expect(exitCode).toBe(1);
        expect(stderr).toContain("1 problem to solve first");
        expect(stderr).toContain(
            `${heldImages.base}, which carbon:heldImages in Pulumi.dev.yaml names, is not here`,
        );
        expect(box.commands("docker").some((command) => command.startsWith("run "))).toBe(false);
    });

    it.each(["postgres 16\npostgres 17\nredis 11\nmosquitto 5\n", "", "postgres \u001b[31m\n"])(
        "is none in %j",
        async (found) => {
            expect((await up(found)).exitCode).toBe(0);
        },
    );
});
