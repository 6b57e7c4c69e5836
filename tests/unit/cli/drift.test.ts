import { userInfo } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { ContainerDetails } from "../../../cli/docker";
import { compare } from "../../../cli/drift/compare";
import { expectedOf } from "../../../cli/drift/expected";
import type { Found } from "../../../cli/drift/found";
import type { StateResource } from "../../../cli/engines/types";
import {
    container,
    healthyDocker,
    obedientPulumi,
    type Rule,
    rulesFile,
    running,
    sandbox,
    stateOf,
} from "./harness";

const tag = "localhost/carbon/base:0123";
const resources: StateResource[] = [
    {
        urn: urn("docker:index/network:Network", "suite-network"),
        type: "docker:index/network:Network",
        id: "net",
    },
    { urn: urn("docker:index/volume:Volume", "redis-volume"), type: "docker:index/volume:Volume", id: "v" },
    { urn: urn("docker-build:index:Image", "base-image"), type: "docker-build:index:Image", id: "sha256:1" },
    {
        urn: urn("docker:index/container:Container", "redis-container"),
        type: "docker:index/container:Container",
        id: "redis",
    },
].map((resource, index) => ({ ...resource, inputs: inputs()[index] }));

function urn(type: string, name: string): string {
    return `urn:pulumi:dev::carbon::${type}::${name}`;
}

function inputs(): Record<string, unknown>[] {
    return [
        { name: "carbon-dev" },
        { name: "carbon-dev-redis" },
        { tags: [tag], labels: { "carbon.content": "0123" }, exports: [{ image: { push: false } }] },
        {
            name: "carbon-dev-redis",
            memory: 512,
            memorySwap: 1024,
            restart: "unless-stopped",
            networksAdvanced: [{ name: "carbon-dev", aliases: ["redis"] }],
            labels: [{ label: "carbon.service", value: "redis" }],
        },
    ];
}

type Changes = Partial<Omit<ContainerDetails, "State" | "HostConfig">> & {
    State?: Partial<ContainerDetails["State"]>;
    HostConfig?: ContainerDetails["HostConfig"];
};

/** The container as it was deployed, but for `changes`. */
function redis({ State, HostConfig, ...changes }: Changes = {}): ContainerDetails {
    return {
        Id: "redis",
        RestartCount: 0,
        Mounts: [],
        Name: "/carbon-dev-redis",
        Created: new Date(Date.now() - 3 * 60_000).toISOString(),
        State: { Status: "running", Health: { Status: "healthy" }, ...State } as ContainerDetails["State"],
        HostConfig: {
            Memory: 512 * 1024 ** 2,
            MemorySwap: 1024 * 1024 ** 2,
            CpuShares: 0,
            CpusetCpus: "",
            PidsLimit: 512,
            RestartPolicy: { Name: "unless-stopped" },
            ...HostConfig,
        } as ContainerDetails["HostConfig"],
        Config: { Labels: { "carbon.stack": "dev", "carbon.service": "redis" }, Image: tag },
        NetworkSettings: {
            Ports: {},
            Networks: { "carbon-dev": { NetworkID: "net", Aliases: ["redis", "f00"] } },
        },
        ...changes,
    };
}

const network = { id: "net", name: "carbon-dev", stack: "dev" };

function found(changes: Partial<Found> = {}): Found {
    return {
        containers: [redis()],
        networks: [network],
        services: [],
        secrets: [],
        volumes: ["carbon-dev-redis"],
        images: new Map([[tag, "there"]]),
        ...changes,
    };
}

/** `kind, what, property, expected, found` of each difference. */
function differences(changes: Partial<Found>): string[] {
    return compare("dev", expectedOf(resources), found(changes)).map((one) =>
        [one.kind, one.what, one.property, one.expected, one.found].join(", "),
    );
}

const strange = { Labels: {}, Image: "debian:trixie-slim" };
const bridge = { NetworkID: "b", Aliases: [] };
const own = { NetworkID: "net", Aliases: ["redis"] };

describe("what Docker has of a stack", () => {
    it("is what was deployed", () => {
        expect(differences({})).toEqual([]);
    });

    it("is not called ill where it was paused a moment ago", () => {
        const resumed = redis({
            State: { Status: "running", Health: { Status: "unhealthy", FailingStreak: 0, Log: [] } },
        });
        expect(differences({ containers: [resumed] })).toEqual([]);
    });

    it.each<[string, Partial<Found>, string[]]>([
        [
            "stopped",
            { containers: [redis({ State: { Status: "exited" } })] },
            ["stopped, redis, state, running, stopped"],
        ],
        [
            "ended by itself",
            { containers: [redis({ State: { Status: "exited", ExitCode: 137 } })] },
            ["stopped, redis, state, running, ended with 137"],
        ],
        [
            "paused",
            { containers: [redis({ State: { Status: "paused" } })] },
            ["paused, redis, state, running, paused"],
        ],
        [
            "restarting for ever",
            { containers: [redis({ State: { Status: "restarting", ExitCode: 1 } })] },
            ["unhealthy, redis, state, running, ends with 1 and is started again"],
        ],
        [
            "unhealthy",
            {
                containers: [
                    redis({
                        State: {
                            Status: "running",
                            Health: {
                                Status: "unhealthy",
                                FailingStreak: 3,
                                Log: [{ ExitCode: 1, Output: "no answer\n" }],
                            },
                        },
                    }),
                ],
            },
            ["unhealthy, redis, health, healthy, unhealthy: no answer"],
        ],
        ["removed", { containers: [] }, ["missing, redis, existence, there, gone"]],
        [
            "renamed",
            { containers: [redis({ Name: "/mine" })] },
            ["renamed, redis, name, carbon-dev-redis, mine"],
        ],
        [
            "limited to less memory",
            { containers: [redis({ HostConfig: { Memory: 256 * 1024 ** 2 } as never })] },
            ["limit, redis, memory, 512 MiB, 256 MiB"],
        ],
        [
            "not started again",
            { containers: [redis({ HostConfig: { RestartPolicy: { Name: "no" } } as never })] },
            ["limit, redis, restart policy, unless-stopped, no"],
        ],
        [
            "allowed other processes",
            { containers: [redis({ HostConfig: { PidsLimit: undefined } as never })] },
            ["processes, redis, processes, 512, no limit"],
        ],
        [
            "bound to a processor",
            { containers: [redis({ HostConfig: { CpusetCpus: "0" } as never })] },
            ["fixed-limit, redis, CpusetCpus, not set, 0"],
        ],
        [
            "off the network",
            { containers: [redis({ NetworkSettings: { Ports: {}, Networks: {} } })] },
            ["left-network, redis, networks, carbon-dev, left it"],
        ],
        [
            "on another network, too",
            {
                containers: [
                    redis({ NetworkSettings: { Ports: {}, Networks: { "carbon-dev": own, bridge } } }),
                ],
            },
            ["joined-network, redis, networks, carbon-dev, joined bridge, too"],
        ],
        [
            "on the network under no name",
            {
                containers: [
                    redis({
                        NetworkSettings: {
                            Ports: {},
                            Networks: { "carbon-dev": { ...own, Aliases: ["f00"] } },
                        },
                    }),
                ],
            },
            ["fixed-limit, redis, name on carbon-dev, redis, not known by it"],
        ],
        [
            "replaced by one of the same name",
            { containers: [redis({ Id: "other", Config: strange })] },
            [
                "foreign-container, redis, container, the stack's own, carbon-dev-redis is another one, made 3 min ago from debian:trixie-slim",
            ],
        ],
        [
            "renamed, and its name another one's",
            { containers: [redis({ Name: "/mine" }), redis({ Id: "other", Config: strange })] },
            [
                "foreign-container, redis, container, the stack's own, carbon-dev-redis is another one, made 3 min ago from debian:trixie-slim",
                "renamed, redis, name, carbon-dev-redis, mine",
            ],
        ],
        [
            "replaced by one with the stack's labels",
            { containers: [redis({ Id: "other" })] },
            [
                "unknown-container, redis, container, known to this clone, carbon-dev-redis, made 3 min ago, is not",
            ],
        ],
        [
            "without its volume",
            { volumes: [] },
            ["missing-volume, volume carbon-dev-redis, existence, there, gone"],
        ],
        [
            "without its network",
            { networks: [] },
            ["missing-network, network carbon-dev, existence, there, gone"],
        ],
        [
            "beside a network of the same name",
            { networks: [{ ...network, id: "other", stack: "", subnet: "10.9.0.0/24" }] },
            [
                "foreign-network, network carbon-dev, network, the stack's own, another one, made by hand with the addresses 10.9.0.0/24",
            ],
        ],
        [
            "without its network, where somebody made one by hand and put it there",
            { networks: [{ id: "net2", name: "carbon-dev", stack: "" }] },
            ["foreign-network, network carbon-dev, network, the stack's own, another one, made by hand"],
        ],
        [
            "without its image",
            { images: new Map([[tag, "missing"]]) },
            [`missing-image, image ${tag}, existence, there, gone`],
        ],
        [
            "without its image's tag",
            { images: new Map([[tag, "moved"]]) },
            [`moved-image, image ${tag}, tag, the suite's image, moved to another one`],
        ],
    ])("is %s", (_, changes, expected) => {
        expect(differences(changes)).toEqual(expected);
    });

    it("is the stack's by its labels where the state is lost, the network by its containers", () => {
        const nothing = expectedOf([]);
        const unlabelled = { ...network, stack: "" };
        const kinds = compare("dev", nothing, found({ networks: [unlabelled] })).map(({ kind }) => kind);
        expect(kinds).toEqual(["unknown-container", "unknown-network"]);
        expect(nothing.isKnown).toBe(false);
        expect(compare("other", nothing, found({ networks: [] }))).toEqual([]);
    });

    it("is not the stack's where others' containers use its network", () => {
        const mine = redis({ Id: "mine", Name: "/mine", Config: strange });
        const [first] = compare("dev", expectedOf([]), found({ containers: [mine] }));
        expect(first).toMatchObject({
            kind: "foreign-network",
            found: "another one, made by hand, which mine uses",
        });
    });

    it("is not asked for what waits for its deletion or its replacement", () => {
        const old = resources.map((one) => ({ ...one, delete: true }));
        const waiting = resources.map((one) => ({ ...one, pendingReplacement: true }));
        expect(expectedOf([...old, ...waiting]).containers).toEqual([]);
    });

    it("is not looked for in the local store where it was pushed", () => {
        const pushed = { ...inputs()[2], exports: [{ image: { push: true } }] };
        expect(expectedOf([{ ...resources[2], inputs: pushed } as StateResource]).images).toEqual([]);
    });
});

describe("up, where something stands in its way", () => {
    const stranger = container("redis", {}, { Id: "stranger", Config: strange });
    const others = ["workspace", "postgres", "mosquitto"].map((name) => container(name));
    const removal: Rule[] = [{ match: "^rm --force stranger$" }];

    it("names it with its age and image, and touches nothing", async () => {
        const box = sandbox();
        box.install("docker", [...running(...others, stranger), ...healthyDocker]);
        box.install("pulumi", obedientPulumi);
        const { exitCode, stderr } = await box.carbon(["up", "--yes"]);
        expect(exitCode).toBe(1);
        expect(stderr).toBe(
            "error: What is not the stack's stands in its way:\n" +
                "  redis: carbon-dev-redis is another one, made by hand from debian:trixie-slim\n" +
                "Nothing was changed. ./carbon up --replace-foreign removes them.",
        );
        expect(box.commands("pulumi").filter((command) => command.startsWith("up "))).toEqual([]);
    });

    it("takes its place with --replace-foreign", async () => {
        const box = sandbox();
        box.install("docker", [...running(...others, stranger), ...removal, ...healthyDocker]);
        box.install("pulumi", obedientPulumi);
        expect(await box.carbon(["up", "--yes", "--replace-foreign"])).toMatchObject({ exitCode: 0 });
        expect(box.commands("docker")).toContain("rm --force stranger");
    });

    it("replaces what cannot be mended on a living container", async () => {
        const box = sandbox();
        const bound = container("redis", {}, { HostConfig: { CpusetCpus: "0" } });
        const unlimited = container("postgres", {}, { HostConfig: { PidsLimit: null, Memory: 0 } });
        const update: Rule = { match: "^update --pids-limit 512 id-of-(redis|postgres)$" };
        box.install("docker", [...running(bound, unlimited), update, ...healthyDocker]);
        box.install("pulumi", obedientPulumi);
        expect(await box.carbon(["up", "--yes"])).toMatchObject({ exitCode: 0 });
        expect(box.commands("docker")).toContain("update --pids-limit 512 id-of-postgres");
        expect(box.commands("pulumi")).toContain(
            "up --stack dev --refresh --yes --skip-preview --replace **::redis-container",
        );
    });
});

describe("a stack of which this clone has no state", () => {
    const nothing = { match: "^stack export ", stdout: "{}" };
    const volumes: Rule = { match: "^volume ls --quiet", stdout: "carbon-dev-home\n" };
    const removal: Rule[] = [{ match: "^stop id-of-redis$" }, { match: "^rm --force id-of-redis$" }];
    const run = async (user: string, args: string[], state: Rule[] = [nothing]) => {
        const box = sandbox();
        const owner: Rule = { match: "^volume ls --filter", stdout: `user=${user}\nuser=\n` };
        const rules = [owner, volumes, ...running(container("redis")), ...removal];
        box.install("docker", [...rules, { match: "^volume rm " }, ...healthyDocker]);
        box.install("pulumi", [...state, ...obedientPulumi]);
        return { ...(await box.carbon([...args, "--yes"])), docker: box.commands("docker") };
    };

    it("is taken over with its data, and its containers are given time to end", async () => {
        const { exitCode, stdout, docker } = await run(userInfo().username, ["up"]);
        expect(exitCode).toBe(0);
        expect(stdout).toContain(
            "This clone has no state of what Docker has of the stack dev: it is taken over. " +
                "Its data stay (1 volume); containers and passwords are made anew.",
        );
        expect(docker.indexOf("stop id-of-redis")).toBeLessThan(docker.indexOf("rm --force id-of-redis"));
        expect(docker.filter((command) => command.startsWith("volume rm"))).toEqual([]);
    });

    it.each([
        ["up", [nothing]],
        ["up", [{ match: "^stack export ", stdout: stateOf("postgres") }]],
        ["down --volumes", [nothing]],
    ])("is not taken from another user without being asked for: %s", async (command, state) => {
        const args = command.split(" ");
        const { exitCode, stderr, docker } = await run("somebody", args, state);
        expect(exitCode).toBe(1);
        expect(stderr).toContain("which the user somebody has made, and this clone has no state of it");
        expect(stderr).toContain(`./carbon ${args[0]} --take-over does it all the same.`);
        expect(docker.filter((said) => /^(rm|stop|volume rm|network rm) /.test(said))).toEqual([]);
        expect(await run("somebody", [...args, "--take-over"], state)).toMatchObject({ exitCode: 0 });
    });

    it("is nobody's to take where the engine cannot say what the state has", async () => {
        const offline: Rule = { match: "^stack select --stack", code: 255, stderr: "error: not logged in" };
        const { exitCode, stderr, docker } = await run("somebody", ["up"], [offline]);
        expect(exitCode).toBe(1);
        expect(stderr).toContain("pulumi stack select failed: error: not logged in");
        expect(docker.filter((said) => said.startsWith("rm "))).toEqual([]);
    });
});

describe("drift with the Pulumi CLI, which does not see it", () => {
    const others = ["postgres", "mosquitto", "workspace"].map((name) => container(name));
    const ill = { State: { Status: "running", Health: { Status: "unhealthy", FailingStreak: 3 } } };
    const joined = { NetworkSettings: { Ports: {}, Networks: { lab: { NetworkID: "lab" } } } };
    const left = "Error response from daemon: container id-of-redis is not connected to network lab\n";
    it.each<[name: string, changes: Record<string, unknown>, mending: string, answer?: Partial<Rule>]>([
        ["paused", { State: { Status: "paused" } }, "unpause id-of-redis"],
        ["unhealthy", ill, "restart id-of-redis"],
        ["joined to another network", joined, "network disconnect lab id-of-redis"],
        [
            "joined to another network, which it has left by itself",
            joined,
            "network disconnect lab id-of-redis",
            { code: 1, stderr: left },
        ],
        [
            "limited to other processes",
            { HostConfig: { PidsLimit: 7 } },
            "update --pids-limit 512 id-of-redis",
        ],
    ])("is found and mended: %s", async (_, changes, mending, answer) => {
        const box = sandbox();
        const well = [...running(container("redis"), ...others), ...healthyDocker];
        const writes: [string, string] = [join(box.dir, "rules"), ""];
        const cure = { match: `^${mending}$`, writes, ...answer };
        const pulumi = [{ match: "^preview --json", stdout: "{}" }, ...obedientPulumi];
        writes[1] = rulesFile({ docker: [{ match: `^${mending}$` }, ...well], pulumi });
        box.install("docker", [
            cure,
            ...running(container("redis", {}, changes), ...others),
            ...healthyDocker,
        ]);
        box.install("pulumi", pulumi);
        const found = await box.carbon(["drift", "--json"]);
        expect(found.exitCode).toBe(3);
        expect(JSON.parse(found.stdout).differences).toMatchObject([{ what: "redis" }]);
        expect(await box.carbon(["up", "--yes"])).toMatchObject({ exitCode: 0 });
        expect(box.commands("docker")).toContain(mending);
        expect(await box.carbon(["drift"])).toMatchObject({ exitCode: 0 });
        expect(box.commands("pulumi").filter((said) => said.includes("--replace"))).toEqual([]);
    });
});
