import { describe, expect, it } from "vitest";
import type { Network } from "../../../cli/documents";
import type { Expected } from "../../../cli/drift/expected";
import { compareServices } from "../../../cli/drift/services";
import { examineNetwork } from "../../../cli/preflight/network";
import { checkSwarm, examineNodes } from "../../../cli/preflight/swarm";
import type { SwarmNode } from "../../../cli/swarm/documents";
import { matches, roomOf } from "../../../cli/swarm/placement";
import { hereRun, proofName } from "../../../cli/swarm/proof";
import type { Settings } from "../../../settings/parse";

const gibibyte = 1024 ** 3;

function node(name: string, changes: Partial<SwarmNode["Spec"]> = {}, state = "ready"): SwarmNode {
    return {
        ID: `id-${name}`,
        Spec: { Role: "worker", Availability: "active", Labels: {}, ...changes },
        Description: {
            Hostname: name,
            Platform: { Architecture: "x86_64", OS: "linux" },
            Resources: { NanoCPUs: 4e9, MemoryBytes: 8 * gibibyte },
            Engine: { Labels: {} },
        },
        Status: { State: state, Message: undefined },
    };
}

const settings = {
    cluster: "swarm",
    sparkWorkers: 2,
    sparkWorkerNodes: [],
    sparkWorkerCpus: 2,
    sparkWorkerMemory: 2048,
    imagePrefix: "registry.example.com/carbon",
    push: true,
    heldImages: {},
} as unknown as Settings;

describe("a placement constraint", () => {
    it.each([
        ["node.hostname==one", true],
        ["node.hostname == ONE", true],
        ["node.hostname!=one", false],
        ["node.role==manager", false],
        ["node.labels.spark==yes", true],
        ["node.labels.other!=yes", true],
        ["node.platform.arch==x86_64", true],
        ["engine.labels.disk==ssd", false],
    ])("%s holds for a node: %s", (constraint, holds) => {
        expect(matches(node("one", { Labels: { spark: "yes" } }), [constraint])).toBe(holds);
    });

    it("is one of several that must all hold", () => {
        expect(matches(node("one"), ["node.role==worker", "node.hostname==two"])).toBe(false);
    });
});

describe("the proof of a Swarm's nodes", () => {
    it("is made by containers that may do nothing but read and write as the workspace's user", () => {
        const said = hereRun({ stack: "dev", uid: 7, gid: 8, workspaceDir: "/data" }, "/workspace").join(" ");
        for (const limit of [
            "--cap-drop ALL",
            "--security-opt no-new-privileges",
            "--read-only",
            "--user 7:8",
        ]) {
            expect(said).toContain(limit);
        }
    });

    it("has a name that nothing of a stack's has", () => {
        expect(proofName("dev")).not.toMatch(/^carbon-/);
    });
});

describe("the look at the stack's network", () => {
    const details = (found: object, changes: Partial<Settings>) => {
        const swarm = { ...settings, stack: "dev", clusterEncryption: "network" } as Settings;
        return examineNetwork({ ...swarm, ...changes }, found as Network).map((one) => [
            one.status,
            one.detail,
        ]);
    };
    const network = (Driver: string, more: object = {}) => ({
        Id: "n",
        Name: "carbon-dev",
        Labels: { "carbon.stack": "dev" },
        ...{ Driver, Options: {}, IPAM: { Config: [{ Subnet: "10.0.5.0/24" }] } },
        ...more,
    });
    const encrypted = {
        Options: { encrypted: "", "com.docker.network.driver.overlay.vxlanid_list": "4097" },
    };

    it.each([
        ["one of one machine that stays there", network("bridge"), { cluster: "off" }],
        ["somebody else's", network("bridge", { Labels: {} }), {}],
    ] as const)("says nothing of %s", (_, found, changes) => {
        expect(details(found, changes)).toEqual([]);
    });

    it.each([
        [network("overlay", encrypted), { subnet: "10.0.5.0/24" }],
        [network("overlay"), { clusterEncryption: "spark" }],
    ] as const)("takes the one that the settings ask for", (found, changes) => {
        expect(details(found, changes)).toMatchObject([["ok", expect.anything()]]);
    });

    it.each([
        [network("bridge"), {}, /ask for a Swarm's encrypted .* runs on a network of one machine/],
        [network("overlay", encrypted), { cluster: "off" }, /ask for a network of one .* Swarm's encrypted/],
        [network("overlay"), {}, /runs on a Swarm's network without encryption/],
        [network("overlay", encrypted), { clusterEncryption: "spark" }, /runs on a Swarm's encrypted/],
        [network("overlay", encrypted), { subnet: "10.9.0.0/16" }, /subnet is 10\.9\..* on 10\.0\.5/],
    ] as const)("refuses another one, as Docker changes none in use", (found, changes, why) => {
        expect(details(found, changes)).toMatchObject([["failure", expect.stringMatching(why)]]);
    });
});

describe("the look at a Swarm", () => {
    const words = (...args: Parameters<typeof examineNodes>) =>
        examineNodes(...args).map(({ status, detail }) => `${status}: ${detail}`);

    it("asks nothing where the stack is on one machine", async () => {
        expect(await checkSwarm({ ...settings, cluster: "off" }, {} as never)).toEqual([]);
    });

    it.each([
        [undefined, "it is inactive"],
        [{ LocalNodeState: "active", ControlAvailable: false }, "it is a worker of one"],
        [{ LocalNodeState: "pending" }, "it is pending"],
    ])("refuses an engine that manages none: %j", async (swarm, why) => {
        const [found] = await checkSwarm(settings, { Swarm: swarm } as never);
        expect(found).toMatchObject({ status: "failure", detail: expect.stringContaining(why) });
        expect(found?.advice).toContain("`docker swarm init` here");
        const server = { user: "ada", host: "far" };
        const [there] = await checkSwarm({ ...settings, server } as Settings, { Swarm: swarm } as never);
        expect(there?.advice).toContain("`docker swarm init` on ada@far");
    });

    it("takes nodes with room, and says which are not there", () => {
        expect(
            words(settings, [node("one"), node("two", { Availability: "drain" }), node("three", {}, "down")]),
        ).toEqual([
            "ok: 1 node for Spark workers: one",
            "warning: not there for Spark workers: two (drain), three (down)",
        ]);
    });

    it("refuses a Swarm without a node that may, without room, and where nodes cannot fetch the image", () => {
        expect(words({ ...settings, sparkWorkerNodes: ["node.labels.spark==yes"] }, [node("one")])).toEqual([
            "failure: none of its 1 node may run Spark workers (carbon:sparkWorkerNodes is [node.labels.spark==yes])",
        ]);
        expect(words({ ...settings, sparkWorkers: 3 }, [node("one")])[1]).toBe(
            "failure: its nodes have room for 2 Spark workers of 2 CPUs and 2048 MiB, and carbon:sparkWorkers is 3",
        );
        const here = { ...settings, push: false };
        expect(words(here, [node("one"), node("two")], "id-one")[1]).toMatch(
            /^failure: two cannot fetch the image/,
        );
        expect(words(here, [node("one")], "id-one")).toHaveLength(1);
    });

    it("counts room by what is scarcer", () => {
        expect([
            roomOf(node("one"), 2, 2048),
            roomOf(node("one"), 1, 6000),
            roomOf(node("one"), 8, 2048),
        ]).toEqual([2, 1, 0]);
        const taken = [
            { NanoCPUs: 1e9, MemoryBytes: undefined },
            { NanoCPUs: 2e9, MemoryBytes: gibibyte },
        ];
        expect([1, 2].map((cpus) => roomOf(node("one"), cpus, 2048, taken))).toEqual([1, 0]);
    });
});

describe("the drift of a service", () => {
    const share = { nanoCpus: 2e9, memoryBytes: 2 * gibibyte };
    const expected = {
        secrets: [{ id: "known" }],
        services: [
            {
                id: "s1",
                resource: "spark-worker-service",
                name: "carbon-dev-spark-worker",
                mode: { replicated: { replicas: 2 } },
                taskSpec: {
                    containerSpec: { image: "image@sha256:1" },
                    resources: { limits: share, reservation: share },
                    placement: { constraints: ["node.role==worker"] },
                },
            },
        ],
    } as unknown as Expected;
    const live = (changes: object = {}, running = 2) => ({
        ID: "s1",
        running,
        Spec: {
            Name: "carbon-dev-spark-worker",
            Labels: { "carbon.service": "spark-worker" },
            Mode: { Replicated: { Replicas: 2 } },
            TaskTemplate: {
                ContainerSpec: { Image: "image@sha256:1" },
                Resources: {
                    Limits: { NanoCPUs: 2e9, MemoryBytes: 2 * gibibyte },
                    Reservations: { NanoCPUs: 2e9, MemoryBytes: 2 * gibibyte },
                },
                Placement: { Constraints: ["node.role==worker"] },
                ...changes,
            },
        },
    });
    const rows = (...services: unknown[]) =>
        compareServices(expected, {
            services,
            secrets: [{ id: "known", name: "carbon-dev-1" }],
        } as never).map(({ kind, what, property, expected: wanted, found }) =>
            [kind, what, property, wanted, found].join(" | "),
        );

    it("is none where it is as it was deployed", () => {
        expect(rows(live())).toEqual([]);
    });

    it("is each of what can be changed by hand", () => {
        const changed = live(
            {
                ContainerSpec: { Image: "other@sha256:2" },
                Resources: { Limits: { NanoCPUs: 1e9, MemoryBytes: gibibyte } },
                Placement: { Constraints: [] },
            },
            1,
        );
        expect(rows(changed)).toEqual([
            "service | spark-worker | containers that run | 2 | 1",
            "service | spark-worker | image | image@sha256:1 | other@sha256:2",
            "service | spark-worker | memory | 2048 MiB | 1024 MiB",
            "service | spark-worker | processors | 2 | 1",
            "service | spark-worker | reserved memory | 2048 MiB | no limit",
            "service | spark-worker | reserved processors | 2 | no limit",
            "service | spark-worker | constraints | node.role==worker | none",
        ]);
    });

    it("is one that is gone, and one that nobody knows", () => {
        expect(rows()).toEqual([
            "missing-service | service carbon-dev-spark-worker | existence | there | gone",
        ]);
        expect(rows(live(), { ...live(), ID: "s2" })).toEqual([
            "unknown-service | spark-worker | service | known to this clone | carbon-dev-spark-worker is not",
        ]);
    });

    it("is a secret that nobody knows, whose name the next deployment wants", () => {
        const secrets = [
            { id: "known", name: "carbon-dev-1" },
            { id: "other", name: "carbon-dev-2" },
        ];
        expect(compareServices(expected, { services: [live()], secrets } as never)).toMatchObject([
            { kind: "unknown-secret", what: "secret carbon-dev-2", id: "other" },
        ]);
    });
});
