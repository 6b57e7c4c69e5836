import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import Docker from "dockerode";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { driverFor } from "../../src/drivers";
import type { Context } from "../../src/drivers/driver";
import { comparableSpec, serviceSpec } from "../../src/drivers/service-spec";
import type { ResourceState } from "../../src/state";
import { type Props, Secret } from "../../src/values";

const type = "docker:index/service:Service";
const context = {} as Context;
const inputs: Props = {
    name: "workers",
    labels: [{ label: "a", value: "b" }],
    mode: { replicated: { replicas: 3 } },
    endpointSpec: { mode: "dnsrr" },
    taskSpec: {
        containerSpec: {
            image: "image@sha256:0",
            env: { B: "2", A: "1" },
            mounts: [{ type: "bind", source: "/w", target: "/workspace", readOnly: false }],
            secrets: [{ secretId: "s1", secretName: "n", fileName: "/run/s", fileMode: 256 }],
            healthcheck: { tests: ["CMD", "true"], interval: "1m30s", retries: 3 },
            stopGracePeriod: "15s",
        },
        resources: { limits: { nanoCpus: 1e9, memoryBytes: 2 ** 31 } },
        networksAdvanceds: [{ id: "net" }],
    },
};

describe("a service of a Swarm", () => {
    it("is sent to Docker as its API wants it", () => {
        expect(serviceSpec(inputs)).toMatchObject({
            Name: "workers",
            Labels: { a: "b" },
            Mode: { Replicated: { Replicas: 3 } },
            EndpointSpec: { Mode: "dnsrr" },
            TaskTemplate: {
                ContainerSpec: {
                    Env: ["B=2", "A=1"],
                    Secrets: [{ SecretID: "s1", File: { Name: "/run/s", UID: "0", GID: "0", Mode: 256 } }],
                    Healthcheck: { Interval: 90e9, Retries: 3 },
                    StopGracePeriod: 15e9,
                },
                Resources: { Limits: { NanoCPUs: 1e9, MemoryBytes: 2 ** 31 } },
                Networks: [{ Target: "net" }],
            },
        });
    });

    it("is the same in another order, and with what Docker adds", () => {
        const live = structuredClone(serviceSpec(inputs));
        const container = live.TaskTemplate?.ContainerSpec;
        container?.Env?.reverse();
        Object.assign(container ?? {}, { DNSConfig: {}, Isolation: "" });
        expect(comparableSpec(live)).toEqual(comparableSpec(serviceSpec(inputs)));
    });

    const diff = async (change: (live: ReturnType<typeof serviceSpec>) => void, news = inputs) => {
        const live = structuredClone(serviceSpec(inputs));
        change(live);
        const old = {
            inputs,
            outputs: { ...inputs, seen: comparableSpec(live) },
        } as unknown as ResourceState;
        const { changes } = await driverFor(type).diff(old, news, context);
        return changes.map(({ path, replace }) => `${path.join(".")}${replace ? " replaces" : ""}`);
    };

    it("shows what was changed by hand", async () => {
        expect(await diff(() => {})).toEqual([]);
        expect(
            await diff((live) => {
                live.Mode = { Replicated: { Replicas: 2 } };
                Object.assign(live.TaskTemplate?.ContainerSpec ?? {}, { Image: "other", Mounts: [] });
                Object.assign(live.TaskTemplate?.Resources?.Limits ?? {}, { MemoryBytes: 0 });
            }),
        ).toEqual([
            "mode.replicas",
            "taskSpec.containerSpec.image",
            "taskSpec.containerSpec.mounts",
            "taskSpec.resources.limits.memoryBytes",
        ]);
    });

    it("is updated for a change, and made anew for another name or network", async () => {
        expect(await diff(() => {}, { ...inputs, mode: { replicated: { replicas: 5 } } })).toEqual([
            "mode.replicated.replicas",
        ]);
        expect(await diff(() => {}, { ...inputs, name: "others" })).toEqual(["name replaces"]);
        const moved = { ...(inputs.taskSpec as Props), networksAdvanceds: [{ id: "other" }] };
        expect(await diff(() => {}, { ...inputs, taskSpec: moved })).toEqual([
            "taskSpec.networksAdvanceds.0.id replaces",
        ]);
    });

    it.each([
        ["mode.global", { mode: { global: true } }],
        ["endpointSpec.ports", { endpointSpec: { ports: [] } }],
        ["auth", { auth: { serverAddress: "x" } }],
        ["taskSpec.containerSpec.configs", { taskSpec: { containerSpec: { configs: [] } } }],
    ])("refuses %s by name", (name, change) => {
        const check = () => driverFor(type).check({ name: "x", ...(change as Props) }, context);
        expect(check).toThrow(`does not support the input "${name}" of ${type}`);
    });
});

describe("the login for a service's image", () => {
    it("goes along with its creation and every update, which is waited for, and nowhere else", async () => {
        const folder = mkdtempSync(join(tmpdir(), "engine-service-"));
        vi.stubEnv("DOCKER_CONFIG", folder);
        const auth = Buffer.from("ada:hidden").toString("base64");
        writeFileSync(join(folder, "config.json"), JSON.stringify({ auths: { "ghcr.io": { auth } } }));
        const sent: { login: unknown; body: string }[] = [];
        let states: (string | undefined)[] = [];
        const replies = {
            "/services/create": { ID: "s" },
            "/services/s/update": {},
            "/services/s": {
                ID: "s",
                Version: { Index: 1 },
                Spec: { Mode: { Replicated: { Replicas: 0 } } },
                get UpdateStatus() {
                    return { State: states.shift() };
                },
            },
            "/tasks": [],
        };
        const server = createServer(async (request, response) => {
            const login = String(request.headers["x-registry-auth"] ?? "");
            if (request.method === "POST") {
                sent.push({
                    login: JSON.parse(Buffer.from(login, "base64").toString()),
                    body: await text(request),
                });
            }
            response.setHeader("Content-Type", "application/json");
            response.end(JSON.stringify(replies[request.url?.split("?")[0] as keyof typeof replies]));
        });
        await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
        const { port } = server.address() as AddressInfo;
        onTestFinished(() => {
            server.close();
            vi.unstubAllEnvs();
            rmSync(folder, { recursive: true });
        });
        const world = {
            docker: () => new Docker({ protocol: "http", host: "127.0.0.1", port }),
            signal: new AbortController().signal,
            progress: () => {},
        } as unknown as Context;
        const taskSpec = { containerSpec: { image: "ghcr.io/me/x@sha256:0" } };
        const news = { name: "x", taskSpec, convergeConfig: { timeout: "30s" } };
        const { id, outputs } = await driverFor(type).create(news, world);
        const old = { id, inputs: news, outputs } as unknown as ResourceState;
        // Docker has the update, has not begun it, is at it.
        states = [undefined, undefined, "updating", "completed"];
        const updated = await driverFor(type).update?.(old, news, world);
        expect(states).toEqual([]);
        const login = { serveraddress: "ghcr.io", username: "ada", password: "hidden" };
        expect(sent.map((one) => one.login)).toEqual([login, login]);
        expect(JSON.stringify([sent.map(({ body }) => body), outputs, updated])).not.toMatch(/hidden|ada/);
    });
});

describe("a secret of a Swarm", () => {
    const secret = driverFor("docker:index/secret:Secret");

    it("is kept as one, whatever the program says", () => {
        expect(secret.check({ name: "a", data: "eA==" }, context).data).toBeInstanceOf(Secret);
    });

    it("needs a name and what it holds", () => {
        expect(() => secret.check({ data: "eA==" }, context)).toThrow('needs a "name"');
        expect(() => secret.check({ name: "a" }, context)).toThrow('needs "data"');
    });
});
