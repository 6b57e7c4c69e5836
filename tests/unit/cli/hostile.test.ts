import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseDocument, verification } from "../../../cli/documents";
import { UserError } from "../../../cli/errors";
import { container, healthyDocker, obedientPulumi, running, sandbox, stackOutputs } from "./harness";

// A window title, a cleared screen by C0 and by C1, a reversed reading order.
const attack = "\x1b]0;owned\x07\x1b[2J\u009b2J\u202e";
const shown = "\\x1b]0;owned\\x07\\x1b[2J\\x9b2J\\u202e";
/** What a terminal obeys. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: it looks for them.
const orders = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/;

const check = { id: "ssh", status: "PASS", expected: "", observed: "SSH-2.0", seconds: 0.1, hint: "" };
const document = (checks: unknown[]) => ({ schema: 1, target: "workspace", checks, summary: {} });

describe("what comes from outside reaches the terminal as text", () => {
    it("in a log, where an unauthenticated login leaves its user name", async () => {
        const box = sandbox();
        const line = `Invalid user ${attack} from 172.20.0.1`;
        box.install("docker", [
            ...running(container("workspace")),
            { match: "^logs ", stdout: `${line}\n`, stderr: `${line}\n` },
            ...healthyDocker,
        ]);
        const { stdout } = await box.carbon(["logs"]);
        const expected = `workspace | Invalid user ${shown} from 172.20.0.1`;
        expect(stdout).toBe(`${expected}\n${expected}`);
    });

    it("in a container's name, labels, state and health", async () => {
        const box = sandbox();
        const hostile = container(
            "redis",
            {},
            {
                Name: `/name${attack}`,
                State: { Status: `running${attack}`, StartedAt: attack, Health: { Status: `ill${attack}` } },
                Config: { Labels: { "carbon.service": `redis${attack}` }, Image: "x" },
            },
        );
        box.install("docker", [...running(hostile), { match: "^logs ", stdout: "line\n" }, ...healthyDocker]);
        const status = await box.carbon(["status"]);
        expect(status.stdout).toContain(`redis${shown}  name${shown}`);
        expect(status.stdout).not.toMatch(orders);
        const document = await box.carbon(["status", "--json"]);
        expect(document.stdout).not.toMatch(orders);
        expect(JSON.parse(document.stdout).services[0]).toMatchObject({ container: `name${attack}` });
        expect((await box.carbon(["logs"])).stdout).toBe(`redis${shown} | line`);
    });

    it("in a stack file's keys and values", async () => {
        const box = sandbox();
        box.configure({ [`key${attack}`]: 1, uid: attack });
        const { exitCode, stderr } = await box.carbon(["up", "--yes"]);
        expect(exitCode).toBe(1);
        expect(stderr).toContain(`carbon:key${shown}`);
        expect(stderr).not.toMatch(orders);
        const doctor = await box.carbon(["doctor"]);
        expect(doctor.stdout).toContain(`carbon:key${shown}`);
        expect(doctor.stdout).not.toMatch(orders);
    });

    it("in what Docker says when it fails", async () => {
        const box = sandbox();
        box.install("docker", [{ match: "^ps ", code: 1, stderr: `no ${attack}\n` }, ...healthyDocker]);
        const { stderr } = await box.carbon(["status"]);
        expect(stderr).toBe(`error: docker ps --all failed: no ${shown}`);
        expect((await box.carbon(["status", "--json"])).stdout).not.toMatch(orders);
    });

    it("in the stack's outputs and logins", async () => {
        const box = sandbox();
        const outputs = {
            ...stackOutputs,
            urls: { ssh: `ssh://${attack}` },
            credentials: { ssh: { user: `user${attack}`, password: "p" } },
        };
        box.install("pulumi", [
            { match: "^stack output ", stdout: JSON.stringify(outputs) },
            ...obedientPulumi,
        ]);
        for (const args of [
            ["outputs"],
            ["outputs", "--json"],
            ["credentials"],
            ["credentials", "--json"],
            ["open", "ssh"],
        ]) {
            const { exitCode, stdout } = await box.carbon(args, { SSH_CONNECTION: "1" });
            expect(exitCode).toBe(0);
            expect(stdout).toContain("owned");
            expect(stdout).not.toMatch(orders);
        }
        expect(JSON.parse((await box.carbon(["outputs", "--json"])).stdout)).toEqual(outputs);
    });

    it("in a check's document, which keeps its rows", async () => {
        const box = sandbox();
        const hostile = {
            ...check,
            id: `id${attack}`,
            status: "FAIL",
            observed: `refused${attack}\nredis  PASS`,
            expected: attack,
            hint: attack,
        };
        box.install("docker", [
            ...running(container("workspace")),
            { match: "^exec ", stdout: JSON.stringify(document([hostile])), code: 1 },
            ...healthyDocker,
        ]);
        const { exitCode, stdout } = await box.carbon(["verify", "--target", "container"]);
        expect(exitCode).toBe(1);
        expect(stdout).toContain(`refused${shown} redis  PASS`);
        expect(stdout).not.toMatch(orders);
    });

    it("also where the command itself is coloured", async () => {
        const box = sandbox();
        const hostile = { ...check, id: "\x1b[31mred", observed: "\x1b[8mhidden" };
        box.install("docker", [
            ...running(container("workspace")),
            { match: "^exec ", stdout: JSON.stringify(document([hostile])) },
            ...healthyDocker,
        ]);
        const { stdout } = await box.carbon(["verify", "--target", "container"], {
            NO_COLOR: "",
            FORCE_COLOR: "1",
        });
        expect(stdout).toContain("\x1b[32mPASS\x1b[39m");
        expect(stdout).toContain("\\x1b[31mred");
        expect(stdout).toContain("\\x1b[8mhidden");
    });
});

describe("a document of another shape ends in one sentence", () => {
    it.each([
        ["no JSON", "Traceback (most recent call last)", /^It is not JSON \(.*\)\. Do this\.$/],
        ["null", "null", /another shape than it should \(.*\)\. Do this\.$/],
        ["a list", "[]", /another shape/],
        ["no checks", '{"schema": 1, "target": "workspace"}', /\(checks: /],
        ["checks of null", JSON.stringify(document([null])), /\(checks\.0: /],
        [
            "a status that does not exist",
            JSON.stringify(document([{ ...check, status: "__proto__" }])),
            /\(checks\.0\.status: /,
        ],
        [
            "texts that are none",
            JSON.stringify(document([{ ...check, observed: {} }])),
            /\(checks\.0\.observed: /,
        ],
        ["another version", JSON.stringify({ ...document([check]), schema: 2 }), /\(schema: /],
        [
            "a very long text",
            JSON.stringify(document([{ ...check, observed: "x".repeat(100_000) }])),
            /\(checks\.0\.observed: /,
        ],
        ["many checks", JSON.stringify(document(Array(2_000).fill(check))), /\(checks: /],
    ])("of the workspace's check: %s", (_, json, sentence) => {
        const parse = () => parseDocument("It", verification, json, "Do this.");
        expect(parse).toThrow(UserError);
        expect(parse).toThrow(sentence);
    });

    it.each([
        ["null", JSON.stringify(document([null])), "has another shape than it should (checks.0: "],
        [
            "10 MB",
            JSON.stringify(document([{ ...check, observed: "x".repeat(10e6) }])),
            "is longer than 2 MB. ",
        ],
    ])("that carbon verify prints: %s", async (_, stdout, reason) => {
        const box = sandbox();
        box.install("docker", [
            ...running(container("workspace")),
            { match: "^exec ", stdout },
            ...healthyDocker,
        ]);
        const { exitCode, stderr } = await box.carbon(["verify", "--target", "container"]);
        expect(exitCode).toBe(1);
        expect(stderr).toContain(`error: What the workspace's check says ${reason}`);
        expect(stderr).toMatch(/`docker rm --force carbon-dev-workspace` and .* make the workspace anew\.$/);
        expect(stderr.split("\n")).toHaveLength(1);
    });

    it("without a look at each of a million checks", () => {
        const result = verification.safeParse(document(Array(1_000_000).fill(null)));
        expect(result.error?.issues).toHaveLength(1);
    });

    it("and a summary that its checks belie is not believed", async () => {
        const box = sandbox();
        const lie = {
            ...document([{ ...check, status: "FAIL" }]),
            summary: { pass: 1, fail: 0, skip: 0, unsupported: 0 },
        };
        box.install("docker", [
            ...running(container("workspace")),
            { match: "^exec ", stdout: JSON.stringify(lie) },
            ...healthyDocker,
        ]);
        const { exitCode, stdout } = await box.carbon(["verify", "--target", "container"]);
        expect(exitCode).toBe(1);
        expect(stdout).toMatch(/^1 fail$/m);
    });

    it.each([
        [
            "docker info",
            ["doctor"],
            { match: "^info ", stdout: '{"ServerVersion": {}}' },
            "What `docker info` says",
        ],
        [
            "docker inspect",
            ["status"],
            { match: "^inspect ", stdout: '[{"Id": "1", "State": null}]' },
            "What `docker inspect` says",
        ],
        [
            "docker inspect, no list",
            ["status"],
            { match: "^inspect ", stdout: "{}" },
            "What `docker inspect` says",
        ],
    ])("from %s", async (_, args, rule, begin) => {
        const box = sandbox();
        box.install("docker", [{ match: "^ps ", stdout: "1\n" }, rule, ...healthyDocker]);
        const { exitCode, stdout, stderr } = await box.carbon(args);
        expect(exitCode).toBe(1);
        expect(stdout + stderr).toContain(`${begin}`);
        expect(stdout + stderr).toContain("has another shape than it should");
        expect(stderr).not.toContain("not expected");
    });

    it.each([
        ["open", { urls: null }],
        ["open", { urls: { jupyter: 5 } }],
        ["credentials", { urls: {} }],
        ["credentials", { credentials: { ssh: "carbon" } }],
    ])("from the stack's outputs: carbon %s with %j", async (command, outputs) => {
        const box = sandbox();
        box.install("pulumi", [
            { match: "^stack output ", stdout: JSON.stringify(outputs) },
            ...obedientPulumi,
        ]);
        const { exitCode, stderr } = await box.carbon([command]);
        expect(exitCode).toBe(1);
        expect(stderr).toMatch(
            /^error: What the stack dev puts out has another shape than it should \(.*\)\. Deploy it anew: \.\/carbon up$/,
        );
    });

    it.each([
        "",
        "null",
        "[]",
        '{"checkpoint": null}',
        '{"checkpoint": {"latest": {"manifest": {"time": "\\u001b[2J"}}}}',
    ])("from a state file: %j", async (text) => {
        const box = sandbox();
        box.install("docker", healthyDocker);
        const stacks = join(box.dir, ".carbon", "state", ".pulumi", "stacks", "carbon");
        mkdirSync(stacks, { recursive: true });
        writeFileSync(join(stacks, "dev.json"), text);
        const { exitCode, stderr } = await box.carbon(["status"]);
        expect(exitCode).toBe(1);
        expect(stderr).toMatch(
            /^! The state file .*dev\.json (is|holds) .*, and there is no backup of it\. Type: \.\/carbon state forget .*$/,
        );
    });
});
