import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Contexts } from "../../src/contexts";
import { connect, resolveEndpoint } from "../../src/docker/endpoint";

let config: string;
const desktop = "unix:///home/me/.docker/run/docker.sock";

beforeAll(() => {
    config = mkdtempSync(join(tmpdir(), "docker-config-"));
    const id = createHash("sha256").update("desktop-linux").digest("hex");
    mkdirSync(join(config, "contexts", "meta", id), { recursive: true });
    const meta = { Name: "desktop-linux", Endpoints: { docker: { Host: desktop } } };
    writeFileSync(join(config, "contexts", "meta", id, "meta.json"), JSON.stringify(meta));
    writeFileSync(join(config, "config.json"), JSON.stringify({ currentContext: "desktop-linux" }));
});
afterAll(() => rmSync(config, { recursive: true }));

describe("the Docker Engine is looked for", () => {
    it.each([
        [
            "at the provider's context before DOCKER_HOST",
            { context: "desktop-linux" },
            { DOCKER_HOST: "tcp://x:1" },
            desktop,
        ],
        [
            "at the provider's host before DOCKER_HOST",
            { host: "unix:///p" },
            { DOCKER_HOST: "tcp://x:1" },
            "unix:///p",
        ],
        [
            "at DOCKER_HOST before DOCKER_CONTEXT",
            {},
            { DOCKER_HOST: "tcp://x:1", DOCKER_CONTEXT: "y" },
            "tcp://x:1",
        ],
        [
            "at DOCKER_CONTEXT before the current context",
            {},
            { DOCKER_CONTEXT: "default" },
            "unix:///var/run/docker.sock",
        ],
        ["at the current context", {}, {}, desktop],
    ])("%s", (_, provider, env, expected) => {
        expect(resolveEndpoint(provider, env, config).host).toBe(expected);
    });

    it("and a context that does not exist is named", () => {
        expect(() => resolveEndpoint({ context: "nowhere" }, {}, config)).toThrow(
            'There is no Docker context "nowhere"',
        );
    });

    it("but not by what this system has no way to", () => {
        expect(() => connect({ host: "npipe:////./pipe/docker" })).toThrow(
            "cannot reach Docker over npipe://",
        );
    });
});

it("A resource goes to another Docker Engine as soon as its provider's settings change", () => {
    const urn = "urn:pulumi:dev::demo::pulumi:providers:docker::there";
    const provider = (host: string) => ({ urn, type: "pulumi:providers:docker", inputs: { host } });
    const { signal } = new AbortController();
    const contexts = new Contexts({ projectDir: ".", signal, display: { show: () => {} } });
    const socket = () => {
        const { modem } = contexts
            .for({ urn: "urn", type: "docker:index/volume:Volume", provider: `${urn}::id` })
            .docker();
        return (modem as { socketPath?: string }).socketPath;
    };
    contexts.addProvider(provider("unix:///one"));
    expect(socket()).toBe("/one");
    contexts.addProvider(provider("unix:///two"));
    expect(socket()).toBe("/two");
});
