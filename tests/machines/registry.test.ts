import { arch } from "node:os";
import { execa } from "execa";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Stack } from "../e2e/stack";
import { Registry, removeImages } from "../registry";
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
