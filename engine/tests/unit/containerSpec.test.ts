import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { driverFor } from "../../src/drivers";
import { containerDefaults, containerSpec, nanoseconds } from "../../src/drivers/container-spec";
import type { Context } from "../../src/drivers/driver";
import type { ResourceState } from "../../src/state";
import { type Props, Secret, UNKNOWN } from "../../src/values";
import { samplePath, sampleResources } from "./sample";

const driver = driverFor("docker:index/container:Container");
const context = {} as Context;
const inputs: Props = {
    name: "c",
    image: "i@sha256:1",
    envs: ["A=1", "B=2"],
    uploads: [{ file: "/f", content: new Secret("password") }],
    ports: [{ internal: 80, external: 8080 }],
    memory: 64,
    capabilities: { adds: ["CAP_CHOWN", "CAP_KILL"], drops: ["ALL"] },
    securityOpts: ["no-new-privileges:true"],
    logDriver: "json-file",
    logOpts: { "max-size": "10m", "max-file": "3" },
    healthcheck: { tests: ["CMD", "true"] },
};

/** What changing `change` does: the paths that differ, those that replace marked with "!". */
async function diff(change: Props, outputs: Props = {}): Promise<string[]> {
    const old = { inputs: driver.check(inputs, context), outputs } as unknown as ResourceState;
    const { changes } = await driver.diff(old, driver.check({ ...inputs, ...change }, context), context);
    return changes.map(({ path, replace }) => `${path.join(".")}${replace ? "!" : ""}`);
}

describe("the container of the sample", () => {
    it("is asked of Docker as the real provider asked for it", () => {
        const [real] = JSON.parse(readFileSync(join(samplePath, "docker-inspect.json"), "utf8"));
        const resource = sampleResources().find((r) => r.type === "docker:index/container:Container");
        const { uploads, ...recorded } = (resource?.inputs ?? {}) as Props;
        const { name, HostConfig, Env, Healthcheck, ...config } = containerSpec(recorded);
        expect(`/${name}`).toBe(real.Name);
        expect(real.HostConfig).toMatchObject({ ...HostConfig });
        expect(real.Config).toMatchObject(config);
        expect(real.Config.Env).toEqual(expect.arrayContaining(Env ?? []));
        // Docker leaves out what is zero.
        expect({ ...real.Config.Healthcheck, StartInterval: 0 }).toEqual(Healthcheck);
        expect(uploads).toBeDefined();
    });
});

describe("a container", () => {
    it.each([
        ["its image", { image: "i@sha256:2" }, ["image!"]],
        ["an image that is not built yet", { image: UNKNOWN }, ["image!"]],
        ["a port", { ports: [{ internal: 80, external: 8081 }] }, ["ports.0.external!"]],
        ["a secret file", { uploads: [{ file: "/f", content: new Secret("other") }] }, ["uploads!"]],
        ["its memory", { memory: 65 }, ["memory"]],
        ["its health check", { healthcheck: { tests: ["CMD", "false"] } }, ["healthcheck.tests.1"]],
        ["the order of its environment", { envs: ["B=2", "A=1"] }, []],
        ["a capability", { capabilities: { adds: ["CAP_CHOWN"], drops: ["ALL"] } }, ["capabilities.adds.1!"]],
        [
            "the order of its capabilities",
            { capabilities: { adds: ["CAP_KILL", "CAP_CHOWN"], drops: ["ALL"] } },
            [],
        ],
        ["its security options", { securityOpts: [] }, ["securityOpts.0!"]],
        ["its logs' driver", { logDriver: "local" }, ["logDriver!"]],
        ["its logs' bounds", { logOpts: { "max-size": "20m", "max-file": "3" } }, ["logOpts.max-size!"]],
        ["its GPUs", { gpus: "all" }, ["gpus!"]],
        ["its devices", { devices: [{ hostPath: "/dev/dri" }] }, ["devices!"]],
        ["the order of its logs' bounds", { logOpts: { "max-file": "3", "max-size": "10m" } }, []],
        ["a default, written out", { restart: "no", networkMode: "bridge" }, []],
    ] as [string, Props, string[]][])("that changes %s", async (_, change, expected) => {
        expect(await diff(change)).toEqual(expected);
    });

    it.each([
        ["renamed", { name: "d" }, ["name!"]],
        ["stopped", { mustRun: false }, ["mustRun"]],
        ["given other memory", { memory: 128 }, ["memory"]],
        ["left as it was", { name: "c", mustRun: true, memory: 64 }, []],
    ] as [string, Props, string[]][])("that was %s by hand", async (_, outputs, expected) => {
        expect(await diff({}, outputs)).toEqual(expected);
    });

    it("has its secrets hoisted to the property, as in the real provider's Check", () => {
        expect(driver.check(inputs, context).uploads).toEqual(
            new Secret([{ __defaults: [], file: "/f", content: "password" }]),
        );
    });

    it("is asked of Docker in bytes and nanoseconds", () => {
        const spec = containerSpec(containerDefaults({ ...inputs, memorySwap: -1, cpus: "1.5", shmSize: 2 }));
        expect(spec.HostConfig).toMatchObject({
            Memory: 64 * 2 ** 20,
            MemorySwap: -1,
            NanoCpus: 1_500_000_000,
            ShmSize: 2 * 2 ** 20,
            PortBindings: { "80/tcp": [{ HostIp: "0.0.0.0", HostPort: "8080" }] },
        });
    });

    it("is asked of Docker with its capabilities, security options and logs as they are", () => {
        expect(containerSpec(containerDefaults(inputs)).HostConfig).toMatchObject({
            CapAdd: ["CAP_CHOWN", "CAP_KILL"],
            CapDrop: ["ALL"],
            SecurityOpt: ["no-new-privileges:true"],
            LogConfig: { Type: "json-file", Config: { "max-size": "10m", "max-file": "3" } },
        });
        const plain = containerSpec(containerDefaults({ name: "c", image: "i" })).HostConfig;
        expect(plain).not.toHaveProperty("LogConfig");
    });

    it("is asked of Docker with a folder of devices, at the same place unless another is named", () => {
        const devices: Props[] = [
            { hostPath: "/dev/dri", permissions: "rw" },
            { hostPath: "/dev/fuse", containerPath: "/dev/other" },
        ];
        expect(containerSpec(containerDefaults({ ...inputs, devices })).HostConfig?.Devices).toEqual([
            { PathOnHost: "/dev/dri", PathInContainer: "/dev/dri", CgroupPermissions: "rw" },
            { PathOnHost: "/dev/fuse", PathInContainer: "/dev/other", CgroupPermissions: "rwm" },
        ]);
        expect(containerSpec(containerDefaults(inputs)).HostConfig).not.toHaveProperty("Devices");
    });

    it("does not differ when its devices change their order, or a default is written out", async () => {
        const [dri, fuse] = [{ hostPath: "/dev/dri" }, { hostPath: "/dev/fuse" }];
        const check = (devices: Props[]) => driver.check({ ...inputs, devices }, context);
        const old = { inputs: check([dri, fuse]), outputs: {} } as unknown as ResourceState;
        const news = check([fuse, { ...dri, permissions: "rwm" }]);
        expect((await driver.diff(old, news, context)).changes).toEqual([]);
    });

    // What `docker run --gpus` sends for the same words.
    it.each([
        ["all", { Driver: "", Count: -1, Capabilities: [["gpu"]], Options: {} }],
        ["device=0", { Driver: "", Count: 0, DeviceIDs: ["0"], Capabilities: [["gpu"]], Options: {} }],
        [
            "device=GPU-3a23c669-1f69-c64e-cf85-44e9b07e7a2a",
            { Count: 0, DeviceIDs: ["GPU-3a23c669-1f69-c64e-cf85-44e9b07e7a2a"] },
        ],
    ])("is asked of Docker with the GPUs %s", (gpus, request) => {
        const spec = containerSpec(containerDefaults({ ...inputs, gpus }));
        expect(spec.HostConfig?.DeviceRequests).toMatchObject([request]);
        expect(containerSpec(containerDefaults(inputs)).HostConfig).not.toHaveProperty("DeviceRequests");
    });

    it.each([
        ["500ms", 5e8],
        ["1m30s", 9e10],
        ["0s", 0],
    ])("takes %s for %d nanoseconds", (duration, expected) => {
        expect(nanoseconds(duration)).toBe(expected);
    });
});
