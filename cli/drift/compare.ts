import { catalogueName, everyService } from "../../catalogue";
import { networkName } from "../../catalogue/names";
import { type ContainerDetails, nameOf, serviceLabel, stackLabel } from "../docker";
import type { ContainerLimits } from "../documents";
import { lastError, serviceOf } from "../health";
import { formatAge } from "../output";
import type { Difference } from "./difference";
import type { Expected } from "./expected";
import type { Found, FoundNetwork } from "./found";
import { compareServices } from "./services";

type ExpectedContainer = Expected["containers"][number];

/** Where what Docker has of a stack is not what it was deployed as. */
export function compare(stack: string, expected: Expected, found: Found): Difference[] {
    return [
        ...expected.containers.flatMap((one) => compareContainer(stack, one, found)),
        ...unknownContainers(stack, expected, found),
        ...compareServices(expected, found),
        ...compareNetworks(stack, expected, found),
        ...expected.volumes
            .filter(({ name }) => !found.volumes.includes(name))
            .map(({ name }) => missing("missing-volume", `volume ${name}`)),
        ...expected.images.flatMap((image) => compareImage(image, found)),
        ...expected.pulls
            .filter(({ name }) => found.images.get(name) === "missing")
            .map(({ name, resource }) => missing("missing-image", `image ${name}`, resource)),
    ];
}

function missing(kind: Difference["kind"], what: string, resource?: string): Difference {
    return { kind, what, property: "existence", expected: "there", found: "gone", resource };
}

function compareContainer(stack: string, expected: ExpectedContainer, found: Found): Difference[] {
    const { resource, name } = expected;
    const what = expected.labels.find(({ label }) => label === serviceLabel)?.value ?? name;
    const live = found.containers.find(({ Id }) => Id === expected.id);
    const namesake = found.containers.find((one) => nameOf(one) === name && one.Id !== expected.id);
    const foreign = namesake && !isOf(stack, namesake) ? [foreignContainer(what, namesake)] : [];
    if (!live) {
        return foreign.length > 0 || namesake ? foreign : [missing("missing", what, resource)];
    }
    const differ = (kind: Difference["kind"], property: string, wanted: string, seen: string) => ({
        ...{ kind, what, property, expected: wanted, found: seen, id: live.Id, resource },
    });
    return [
        ...foreign,
        ...(nameOf(live) === name ? [] : [differ("renamed", "name", name, nameOf(live))]),
        ...compareState(live, differ),
        ...compareLimits(what, expected, live.HostConfig, differ),
        ...compareJoined(expected, live, differ),
    ];
}

type Differ = (kind: Difference["kind"], property: string, expected: string, found: string) => Difference;

function compareState(container: ContainerDetails, differ: Differ): Difference[] {
    const { Status, Health, ExitCode = 0 } = container.State;
    if (Status === "paused") {
        return [differ("paused", "state", "running", "paused")];
    }
    if (Status === "restarting") {
        return [differ("unhealthy", "state", "running", `ends with ${ExitCode} and is started again`)];
    }
    if (Status !== "running") {
        return [differ("stopped", "state", "running", ExitCode ? `ended with ${ExitCode}` : "stopped")];
    }
    const said = lastError(container);
    // Docker calls what was paused unhealthy until it is checked again, though no check has failed.
    return Health?.Status === "unhealthy" && Health.FailingStreak !== 0
        ? [differ("unhealthy", "health", "healthy", said ? `unhealthy: ${said}` : "unhealthy")]
        : [];
}

/** All that `docker update` can change. The program sets the first ones; of the rest Docker's defaults are expected. */
function compareLimits(
    service: string,
    expected: ExpectedContainer,
    limits: ContainerLimits | undefined,
    differ: Differ,
): Difference[] {
    if (!limits) {
        return [];
    }
    const { Memory, MemorySwap, RestartPolicy, PidsLimit, NanoCpus, ...others } = limits;
    const processes = everyService.find(({ name }) => name === catalogueName(service))?.processes;
    type Row = [Difference["kind"], string, string | number | undefined, string | number | undefined];
    const memory = mebibytes(expected.memorySwap);
    const swap: Row = ["limit", "memory and swap", memory, mebibytes(MemorySwap, 1024 ** 2)];
    const rows: Row[] = [
        ["limit", "memory", mebibytes(expected.memory), mebibytes(Memory, 1024 ** 2)],
        // On a kernel that counts no swap Docker sets no limit of it.
        ...(MemorySwap === -1 ? [] : [swap]),
        ["limit", "restart policy", expected.restart, RestartPolicy?.Name || "no"],
        ["processes", "processes", processes, PidsLimit && PidsLimit > 0 ? PidsLimit : "no limit"],
        ["fixed-limit", "processors", Number(expected.cpus ?? 0) || "all", (NanoCpus ?? 0) / 1e9 || "all"],
        ...Object.entries(others).map(
            ([name, value]): Row => ["fixed-limit", name, "not set", value || "not set"],
        ),
    ];
    return rows
        .filter(([, , wanted, seen]) => wanted !== undefined && String(wanted) !== String(seen))
        .map(([kind, property, wanted, seen]) => differ(kind, property, String(wanted), String(seen)));
}

function mebibytes(amount: number | undefined, unit = 1): string | undefined {
    return amount === undefined ? undefined : amount > 0 ? `${Math.floor(amount / unit)} MiB` : "no limit";
}

function compareJoined(
    { networksAdvanced }: ExpectedContainer,
    { NetworkSettings }: ContainerDetails,
    differ: Differ,
): Difference[] {
    const joined = NetworkSettings.Networks;
    if (!joined) {
        return [];
    }
    const wanted = networksAdvanced.map(({ name }) => name);
    const names = Object.entries(joined).flatMap(([name, { NetworkID }]) => [name, NetworkID]);
    const left = wanted.filter((name) => !names.includes(name));
    const extra = Object.entries(joined).filter(
        ([name, { NetworkID }]) => !wanted.includes(name) && !wanted.includes(NetworkID),
    );
    const unnamed = networksAdvanced.filter(({ name, aliases = [] }) => {
        const has = joined[name]?.Aliases;
        return has && aliases.some((alias) => !has.includes(alias));
    });
    return [
        ...left.map((name) => differ("left-network", "networks", name, "left it")),
        ...extra.map(([network]) => ({
            ...differ("joined-network", "networks", wanted.join(", "), `joined ${network}, too`),
            network,
        })),
        ...unnamed.map(({ name, aliases = [] }) =>
            differ("fixed-limit", `name on ${name}`, aliases.join(", "), "not known by it"),
        ),
    ];
}

function isOf(stack: string, { Config }: ContainerDetails): boolean {
    return Config.Labels[stackLabel] === stack && Config.Labels[serviceLabel] !== undefined;
}

function foreignContainer(what: string, container: ContainerDetails): Difference {
    return {
        kind: "foreign-container",
        what,
        property: "container",
        expected: "the stack's own",
        found: `${nameOf(container)} is another one, made ${age(container.Created)} from ${container.Config.Image}`,
        id: container.Id,
    };
}

/** Those that carry the stack's label, but are not in its state, which was lost or is another clone's. */
function unknownContainers(stack: string, { containers }: Expected, found: Found): Difference[] {
    const known = containers.map(({ id }) => id);
    return found.containers
        .filter((one) => isOf(stack, one) && !known.includes(one.Id))
        .map((one) => ({
            kind: "unknown-container" as const,
            what: serviceOf(one),
            property: "container",
            expected: "known to this clone",
            found: `${nameOf(one)}, made ${age(one.Created)}, is not`,
            id: one.Id,
        }));
}

function compareNetworks(stack: string, { networks, isKnown }: Expected, found: Found): Difference[] {
    const known = networks.map(({ id }) => id);
    const strange = found.networks.filter(({ id }) => !known.includes(id));
    const names = strange.map(({ name }) => name);
    return [
        ...networks
            .filter(({ id, name }) => !found.networks.some((one) => one.id === id) && !names.includes(name))
            .map(({ name, resource }) => missing("missing-network", `network ${name}`, resource)),
        ...strange.map((one) => strangeNetwork(stack, one, found, isKnown)),
    ];
}

/** One with containers of others on it is theirs, too. */
function strangeNetwork(
    stack: string,
    network: FoundNetwork,
    { containers }: Found,
    isKnown: boolean,
): Difference {
    const { id, name, subnet, created } = network;
    const users = containers.filter(({ NetworkSettings }) =>
        Object.values(NetworkSettings.Networks ?? {}).some(({ NetworkID }) => NetworkID === id),
    );
    const others = users.filter((one) => !isOf(stack, one)).map(nameOf);
    // Older versions gave it no label.
    const isLabelled =
        network.stack === stack || (!isKnown && name === networkName(stack) && users.length > 0);
    const isOwn = isLabelled && others.length === 0;
    const used = others.length > 0 ? `, which ${others.join(", ")} uses` : "";
    return {
        kind: isOwn ? "unknown-network" : "foreign-network",
        what: `network ${name}`,
        property: "network",
        expected: isOwn ? "known to this clone" : "the stack's own",
        found: isOwn
            ? `made ${age(created)}, is not`
            : `another one, made ${age(created)}${subnet ? ` with the addresses ${subnet}` : ""}${used}`,
        id,
    };
}

function compareImage({ tags, resource }: Expected["images"][number], { images }: Found): Difference[] {
    const [tag = ""] = tags;
    const state = images.get(tag);
    if (state !== "missing" && state !== "moved") {
        return [];
    }
    const what = `image ${tag}`;
    return state === "missing"
        ? [missing("missing-image", what, resource)]
        : [
              {
                  ...{ kind: "moved-image", what, property: "tag", resource },
                  ...{ expected: "the suite's image", found: "moved to another one" },
              },
          ];
}

function age(created: string | undefined): string {
    return created ? `${formatAge(created, Date.now())} ago` : "by hand";
}
