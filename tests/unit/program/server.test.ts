import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { Machine } from "../../../settings/machine";
import { parseSettings } from "../../../settings/parse";
import { parseServer, sshArguments } from "../../../settings/server";
import { bareMachine } from "../machine";
import { runProgram } from "./harness";
import { problemsIn } from "./problems";

const address = "ssh://ada@far.example.com:2200";
const server = { user: "ada", host: "far.example.com", port: 2200 };

const laptop: Machine = {
    ...bareMachine,
    env: { DOCKER_HOST: address },
    home: "/Users/ada",
    projectDir: "/Users/ada/carbon",
    arch: "arm64",
    platform: "darwin",
    hostname: () => "laptop",
    dockerArch: () => "x64",
    dockerMemory: (environment) => (environment?.DOCKER_HOST === address ? 64_000 : 8_000),
    serverHome: (asked) => (asked.host === server.host ? "/home/ada" : undefined),
};

function settings(raw: Record<string, string>, machine: Partial<Machine> = {}) {
    return parseSettings("dev", raw, { ...laptop, ...machine });
}

function problemsOf(raw: Record<string, string>, machine: Partial<Machine> = {}) {
    return problemsIn(() => settings(raw, machine));
}

/** Docker's file of a context. */
function context(name: string, host: string): Partial<Machine> {
    const id = createHash("sha256").update(name).digest("hex");
    const file = `/Users/ada/.docker/contexts/meta/${id}/meta.json`;
    const text = JSON.stringify({ Name: name, Endpoints: { docker: { Host: host } } });
    return { env: {}, readFile: (asked) => (asked === file ? text : undefined) };
}

describe("a server's address", () => {
    it("has a user and a port, or not", () => {
        expect(parseServer(address)).toEqual(server);
        expect(parseServer("ssh://far")).toEqual({ host: "far" });
        expect(parseServer("ssh://[fd00::1]:22")).toEqual({ host: "fd00::1", port: 22 });
        expect(sshArguments(server)).toEqual(["-p", "2200", "--", "ada@far.example.com"]);
    });

    it.each([
        "ssh://-oProxyCommand=touch",
        "ssh://-x@far",
        "ssh://ada@-far",
        "ssh://far/path",
        "ssh://ada:secret@far",
        "ssh://far:0",
        "ssh://far:65536",
        "ssh://a b",
        "ssh://far\n",
        "tcp://far:2375",
    ])("is not %j", (url) => {
        expect(parseServer(url)).toBeUndefined();
        expect(problemsOf({ dockerContext: url })).toContainEqual(
            expect.stringMatching(/^dockerContext: not allowed/),
        );
    });
});

describe("a stack on a server", () => {
    it("has the server's memory, processor, folder and name", () => {
        const found = settings({ dockerContext: address, bindAddress: "0.0.0.0" });
        expect(found).toMatchObject({
            server,
            dockerContext: "default",
            dockerProvider: { host: address },
            dockerEnvironment: { DOCKER_HOST: address },
            builder: "default",
            platforms: ["linux/amd64"],
            workspaceDir: "/home/ada/workspace",
            syncDir: "/Users/ada/carbon/workspace",
            tlsNames: ["far", "far.local"],
        });
        expect(found.memory).toBeGreaterThan(40_000);
    });

    it("may be in a Docker context that leads there, named or current", () => {
        const there = context("far", address);
        expect(settings({ dockerContext: "far" }, there)).toMatchObject({
            server,
            dockerContext: "far",
            builder: "far",
            dockerEnvironment: { DOCKER_CONTEXT: "far" },
        });
        const current = settings({}, { ...there, env: { DOCKER_CONTEXT: "far" } });
        expect(current.server).toEqual(server);
        expect(current.dockerEnvironment).toBeUndefined();
        expect(settings({}, context("far", address)).server).toBeUndefined();
    });

    it.each(["ssh://ada@far/run/user/1000/docker.sock", "ssh://-oProxyCommand=touch", "ssh:far"])(
        "is not taken for one on this machine where a context or the environment leads to %s",
        (host) => {
            const refusal = expect.stringMatching(/^dockerContext: it leads to "ssh:.* alone is understood/);
            const there = context("far", host);
            expect(problemsOf({ dockerContext: "far" }, there)).toEqual([refusal]);
            expect(problemsOf({}, { ...there, env: { DOCKER_CONTEXT: "far" } })).toEqual([refusal]);
            expect(problemsOf({}, { env: { DOCKER_HOST: host } })).toEqual([refusal]);
        },
    );

    it("has a folder that is no system's, in the home there where it is relative", () => {
        expect(settings({ dockerContext: address, workspaceDir: "~/work/one" }).workspaceDir).toBe(
            "/home/ada/work/one",
        );
        expect(settings({ dockerContext: address, workspaceDir: "/data/carbon" }).workspaceDir).toBe(
            "/data/carbon",
        );
        for (const workspaceDir of ["/etc/x", "~", ".ssh", "~/.config/x", "/", "../.."]) {
            expect(problemsOf({ dockerContext: address, workspaceDir })).toEqual([
                expect.stringMatching(/^workspaceDir: on the server, /),
            ]);
        }
    });

    it("keeps the placeholder of a home where the server does not answer, which Docker refuses", () => {
        const away = { serverHome: () => undefined };
        expect(settings({ dockerContext: address }, away).workspaceDir).toBe("~/workspace");
    });

    it("cannot use what runs on one's own machine", () => {
        expect(problemsOf({ dockerContext: address, gpu: "host", llm: "host" })).toEqual([
            expect.stringMatching(
                /^gpu: host is your own machine's GPU, but the stack lives on far\.example\.com\./,
            ),
            expect.stringMatching(/^llm: host is a server on your own machine/),
        ]);
    });
});

describe("dockerContext", () => {
    it("contradicts no variable of the environment, and names a context that is there", () => {
        const other = { DOCKER_HOST: "unix:///run/other.sock" };
        expect(problemsOf({ dockerContext: address }, { env: other })).toEqual([
            "dockerContext: DOCKER_HOST in your environment leads to another engine. Type `unset DOCKER_HOST`, or set dockerContext to auto.",
        ]);
        expect(
            problemsOf(
                { dockerContext: "far" },
                { ...context("far", address), env: { DOCKER_CONTEXT: "x" } },
            ),
        ).toEqual([expect.stringContaining("DOCKER_CONTEXT in your environment leads to another engine.")]);
        expect(problemsOf({ dockerContext: "nowhere" }, { env: {} })).toEqual([
            expect.stringContaining("there is no such Docker context."),
        ]);
        expect(problemsOf({ dockerContext: "default" }, { env: {} })).toEqual([]);
    });

    it("is not left to a `pulumi` that would build elsewhere", () => {
        expect(problemsOf({ dockerContext: address }, { env: {} })).toEqual([
            expect.stringContaining(`Type \`export DOCKER_HOST=${address}\` before \`pulumi\``),
        ]);
    });
});

describe("the program", () => {
    const inputsOf = ({ resources }: Awaited<ReturnType<typeof runProgram>>, name: string) =>
        resources.find((resource) => resource.name === name)?.inputs;

    it("hands the server to the provider and to the commands", async () => {
        const config = { dockerContext: address, workspaceDir: "/data/carbon" };
        const found = await runProgram("dev", config, { DOCKER_CONTEXT: "", DOCKER_HOST: address });
        expect(inputsOf(found, "docker")).toMatchObject({ host: address });
        for (const name of ["verify-command", "redis-processes"]) {
            expect(inputsOf(found, name)?.environment).toEqual({ DOCKER_HOST: address });
        }
        expect(inputsOf(found, "workspace-container")?.volumes).toContainEqual({
            containerPath: "/workspace",
            hostPath: "/data/carbon",
        });
    });

    it("says nothing of an engine that no setting names", async () => {
        const found = await runProgram("dev");
        expect(inputsOf(found, "docker")).not.toHaveProperty("host");
        expect(inputsOf(found, "verify-command")).not.toHaveProperty("environment");
    });
});
