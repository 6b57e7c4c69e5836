import { arch } from "node:os";
import { execa } from "execa";
import { afterAll, beforeAll, expect, it, onTestFinished, vi } from "vitest";
import { failure, TestStack } from "../../engine/tests/docker/harness";
import { Stack } from "../e2e/stack";
import { Registry, removeImages } from "../registry";
import { SecondEngine } from "../second-engine";
import provideEmulation from "../setup/emulation";
import { provideRegistry } from "../setup/registry";

const port = 23600;
const prefix = `127.0.0.1:${port}/t-registry-both`;
const [other, machine] = arch() === "arm64" ? ["linux/amd64", "x86_64"] : ["linux/arm64", "aarch64"];
const config = { toolsets: [], compute: false, services: [], appPorts: [], portOffset: 23600 };
const suite = new Stack("t-registry-both", { ...config, imagePrefix: prefix });
let registry: Registry;
let env: { DOCKER_CONFIG: string };

beforeAll(async () => {
    await provideEmulation();
    await provideRegistry();
    registry = await Registry.start(port);
    env = { DOCKER_CONFIG: registry.dockerConfig("docker") };
});

afterAll(async () => {
    await suite.remove();
    await removeImages(prefix);
    registry?.remove();
});

it("a stack runs the other platform's image of two that were pushed together, with that platform's bill", async () => {
    const pushed = await suite.carbon(["build", "--arm64", "--amd64", "--push"], { env });
    expect(pushed.exitCode, pushed.said).toBe(0);
    await execa("docker", ["image", "rm", "--force", pushed.json.images[0].ref.replace(/@.*/, "")]);
    suite.configure({ images: "pull", platforms: [other] });
    const up = await suite.carbon(["up"], { env });
    expect(up.exitCode, up.said).toBe(0);
    expect((await suite.shell("uname --machine")).output).toContain(machine);
    expect((await suite.carbon(["drift"], { env })).json).toMatchObject({ clean: true });
    const { json, said } = await suite.carbon(["sbom"], { env });
    expect(json.packages, said).toContainEqual(expect.objectContaining({ name: "openssh-server" }));
});

it("the nodes of a Swarm pull with the login of who deploys", async () => {
    const image = `${registry.address}/t-registry-swarm/debian:one`;
    await execa("docker", ["tag", "docker.io/library/debian:trixie-slim", image]);
    await execa("docker", ["push", image], { env });
    await execa("docker", ["image", "rm", image]);
    const engines: SecondEngine[] = [];
    const stack = new TestStack("service");
    onTestFinished(async () => {
        vi.unstubAllEnvs();
        await stack.remove();
        await Promise.all(engines.map((engine) => engine.remove()));
    });
    for (const index of [54, 55]) {
        const engine = await SecondEngine.start(index);
        engines.push(engine);
        const seen = await registry.within(engine.namespace);
        onTestFinished(() => seen.stop());
    }
    const [manager, worker] = engines as [SecondEngine, SecondEngine];
    await manager.docker("swarm", "init", "--advertise-addr", manager.address);
    const token = await manager.docker("swarm", "join-token", "--quiet", "worker");
    await worker.docker("swarm", "join", "--token", token, `${manager.address}:2377`);

    stack.set({ image, host: manager.host });
    vi.stubEnv("DOCKER_CONFIG", registry.dockerConfig("stranger", { user: "eve", password: "wrong" }));
    await failure(stack.up());
    expect(stack.text()).toContain("0 of 2 replicas of the service");
    vi.stubEnv("DOCKER_CONFIG", env.DOCKER_CONFIG);
    await stack.up();
    const nodes = await manager.docker(
        "service",
        "ps",
        "--format",
        "{{.Node}}",
        "--filter",
        "desired-state=running",
        `${stack.prefix}-service`,
    );
    expect(nodes.split("\n").sort()).toEqual([manager.name, worker.name]);
});
