import * as grpc from "@grpc/grpc-js";
import { ResourceMonitorClient } from "@pulumi/pulumi/proto/resource_grpc_pb";
import resource from "@pulumi/pulumi/proto/resource_pb";
import { Struct } from "google-protobuf/google/protobuf/struct_pb";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { driverFor } from "../../src/drivers";
import type { Context } from "../../src/drivers/driver";
import { messageOf } from "../../src/engine-error";
import { Monitor } from "../../src/monitor";

type Request = resource.RegisterResourceRequest;

let monitor: Monitor;
let client: ResourceMonitorClient;
let failures: string[] = [];

beforeAll(async () => {
    monitor = new Monitor({
        registerResource: async () => ({ urn: "urn", outputs: {} }),
        registerOutputs: async () => {},
        log: () => {},
        fail: (error) => void failures.push(messageOf(error)),
    });
    client = new ResourceMonitorClient(await monitor.listen(), grpc.credentials.createInsecure());
});
beforeEach(() => {
    failures = [];
});
afterAll(() => {
    client.close();
    monitor.close();
});

/** The status code with which a registration ends. */
function register(change: (request: Request) => void): Promise<grpc.status | undefined> {
    const request = new resource.RegisterResourceRequest();
    request.setType("docker:index/volume:Volume");
    request.setName("data");
    request.setCustom(true);
    change(request);
    return new Promise((resolve) => client.registerResource(request, (error) => resolve(error?.code)));
}

describe("the monitor", () => {
    it("takes a plain registration", async () => {
        expect(await register(() => {})).toBeUndefined();
        expect(failures).toEqual([]);
    });

    it.each<[string, (request: Request) => void]>([
        ["remote: true", (r) => r.setRemote(true)],
        ["import", (r) => r.setImportid("x")],
        ["ignoreChanges", (r) => r.setIgnorechangesList(["a.b"])],
        ["deletedWith", (r) => r.setDeletedwith("urn")],
        ["replaceWith", (r) => r.setReplaceWithList(["urn"])],
        ["hideDiffs", (r) => r.setHidediffsList(["a"])],
        ["pluginDownloadURL", (r) => r.setPlugindownloadurl("https://example.com")],
        [
            "customTimeouts",
            (r) => {
                const timeouts = new resource.RegisterResourceRequest.CustomTimeouts();
                timeouts.setCreate("1m");
                r.setCustomtimeouts(timeouts);
            },
        ],
    ])("refuses the option %s by name, and ends the program quietly", async (option, change) => {
        expect(await register(change)).toBe(grpc.status.CANCELLED);
        expect(failures).toEqual([expect.stringContaining(option)]);
        expect(failures[0]).toContain("data");
    });

    it("refuses an asset as an input", async () => {
        const asset = { "4dabf18193072939515e22adb298388d": "c44067f5952c0a294b673a41bacd8c17", text: "x" };
        await register((r) => r.setObject(Struct.fromJavaScript({ file: asset })));
        expect(failures).toEqual([expect.stringContaining("does not support an asset")]);
    });

    it("refuses a function by its token", async () => {
        const request = new resource.ResourceInvokeRequest();
        request.setTok("docker:index/getNetwork:getNetwork");
        await new Promise<void>((resolve) => client.invoke(request, () => resolve()));
        expect(failures).toEqual([expect.stringContaining("docker:index/getNetwork:getNetwork")]);
    });
});

const context = { name: "thing", projectDir: __dirname } as Context;
const image = {
    context: { location: "sample/ctx" },
    exec: true,
    builder: { name: "default" },
    push: false,
};

describe("a driver", () => {
    it.each([
        ["docker:index/volume:Volume", { name: "v", driverOpts: { type: "tmpfs" } }, '"driverOpts"'],
        ["docker:index/network:Network", { name: "n", internal: true }, '"internal"'],
        ["docker:index/container:Container", { name: "c", image: "i", privileged: true }, '"privileged"'],
        [
            "docker:index/container:Container",
            { name: "c", uploads: [{ source: "/x" }] },
            '"uploads[].source"',
        ],
        ["docker:index/container:Container", { name: "c", image: "i", gpus: "2" }, '"2" as the input "gpus"'],
        ["docker:index/container:Container", { name: "c", gpus: "device=0,1" }, "device= and one id"],
        ["docker:index/container:Container", { name: "c", gpus: "" }, "device= and one id"],
        ["docker:index/container:Container", { name: "c", deviceRequests: [] }, '"deviceRequests"'],
        ["docker:index/container:Container", { image: "i" }, 'needs a "name"'],
        ["random:index/randomPassword:RandomPassword", { length: 8, keepers: {} }, '"keepers"'],
        ["random:index/randomPassword:RandomPassword", { length: 8, minUpper: 2 }, '"minUpper"'],
        ["command:local:Command", { create: "true", assetPaths: [] }, '"assetPaths"'],
        ["docker-build:index:Image", { ...image, cacheFrom: [{ gha: {} }] }, '"cacheFrom[].gha"'],
        [
            "docker-build:index:Image",
            { ...image, cacheTo: [{ registry: { ref: "r", ignoreError: true } }] },
            '"cacheTo[].registry.ignoreError"',
        ],
        ["docker-build:index:Image", { ...image, noCache: true }, '"noCache"'],
        ["docker:index/remoteImage:RemoteImage", { name: "i", pullTriggers: [] }, '"pullTriggers"'],
        ["docker:index/remoteImage:RemoteImage", { name: "i" }, '"keepLocally: true" only (thing)'],
        ["docker:index/remoteImage:RemoteImage", { keepLocally: true }, 'with a "name"'],
        ["docker-build:index:Image", { ...image, exports: [{ tar: {} }] }, '"exports[].tar"'],
        ["docker-build:index:Image", { ...image, exports: [{}] }, '"image" and "cacheonly"'],
        [
            "docker-build:index:Image",
            { ...image, exports: [{ image: {}, cacheonly: {} }] },
            '"image" and "cacheonly"',
        ],
        [
            "docker-build:index:Image",
            { ...image, exports: [{ cacheonly: { x: 1 } }] },
            '"exports[].cacheonly.x"',
        ],
        ["docker-build:index:Image", { ...image, exec: false }, '"exec: true"'],
        [
            "docker-build:index:Image",
            { ...image, context: { location: "nowhere" } },
            "nowhere does not exist",
        ],
        [
            "pulumi:providers:docker",
            { registryAuth: JSON.stringify([{ address: "r", password: "x" }]) },
            '"registryAuth[].password"',
        ],
    ])("of %s refuses %j", (type, inputs, message) => {
        expect(() => driverFor(type).check(inputs as never, context)).toThrow(message);
    });

    it("is missing for any other type, which is named", () => {
        expect(() => driverFor("aws:s3/bucket:Bucket")).toThrow("resource type aws:s3/bucket:Bucket");
        expect(() => driverFor("pulumi:providers:aws")).toThrow("resource type pulumi:providers:aws");
    });
});
