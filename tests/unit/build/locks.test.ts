import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
    CUDA_LOCK,
    inputDigest,
    inputFile,
    lockFile,
    lockInputs,
    type Machine,
    NPM_LOCKS,
    type Pin,
    PLATFORMS,
    parseLock,
    SEPARATE_LOCKS,
    TOOLS,
    TOOLSETS,
} from "../../../scripts/lock";

const REFRESH = "run `npx tsx scripts/lock.ts` and commit the locks";
const machines = PLATFORMS.map(({ machine }) => machine);

interface Requirement {
    name: string;
    machine?: Machine;
}

/** Names as PyPI compares them (PEP 503). */
function normalize(name: string): string {
    return name.replace(/[-_.]+/g, "-").toLowerCase();
}

function requirements(input: string): Requirement[] {
    return readFileSync(inputFile(input), "utf8")
        .split("\n")
        .filter((line) => /^\w/.test(line))
        .map((line) => {
            const machine = machines.find((known) => line.includes(`platform_machine == "${known}"`));
            const requirement = { name: normalize(/^[\w.-]+/.exec(line)?.[0] ?? "") };
            return machine ? { ...requirement, machine } : requirement;
        });
}

function pins(lock: string): Pin[] {
    return parseLock(readFileSync(lockFile(lock), "utf8"));
}

function on(machine: Machine, all: Pin[]): Pin[] {
    return all.filter((pin) => !pin.machine || pin.machine === machine);
}

describe.each(Object.entries(lockInputs()))("%s.lock", (lock, inputs) => {
    const text = readFileSync(lockFile(lock), "utf8");

    it("was made from its inputs as they are now", () => {
        expect(text, REFRESH).toContain(`# inputs: sha256:${inputDigest(inputs)}\n`);
    });

    it("pins every package by version and hash", () => {
        const locked = parseLock(text);
        expect(locked.length).toBeGreaterThan(0);
        expect(locked.filter((pin) => pin.hashes.length === 0)).toEqual([]);
    });

    it("names no download host", () => {
        expect(text).not.toMatch(/:\/\/|--(extra-)?index|--find-links/);
    });
});

describe.each(machines)("the environment on %s", (machine) => {
    const byLock = new Map(
        [...TOOLSETS, ...Object.keys(SEPARATE_LOCKS)].map((lock) => [lock, on(machine, pins(lock))]),
    );

    it.each([...TOOLSETS])("has everything that %s.in asks for", (toolset) => {
        const reachable = ["core", toolset, ...Object.keys(SEPARATE_LOCKS)];
        const names = reachable.flatMap((lock) => byLock.get(lock) ?? []).map((pin) => pin.name);
        for (const requirement of requirements(toolset).filter(
            (one) => (one.machine ?? machine) === machine,
        )) {
            expect(names, REFRESH).toContain(requirement.name);
        }
    });

    it("has one version of each package, whichever toolsets are on", () => {
        const versions = new Map<string, Set<string>>();
        for (const pin of [...byLock.values()].flat()) {
            versions.set(pin.name, (versions.get(pin.name) ?? new Set()).add(pin.version));
        }
        expect([...versions].filter(([, found]) => found.size > 1)).toEqual([]);
    });

    it("puts nothing into a toolset that core has already", () => {
        const core = new Set(byLock.get("core")?.map((pin) => pin.name));
        const rest = [...byLock].filter(([lock]) => lock !== "core").flatMap(([, locked]) => locked);
        expect(rest.filter((pin) => core.has(pin.name))).toEqual([]);
    });

    it("needs CUDA's libraries in the lock that PyTorch's CPU index replaces, and nowhere else", () => {
        const cuda = /^(nvidia-|cuda-|triton$|torch(vision)?$)/;
        for (const [lock, locked] of byLock) {
            const names = locked.map((pin) => pin.name);
            expect(names.filter((name) => cuda.test(name) !== (lock === CUDA_LOCK))).toEqual([]);
            expect(names).not.toContain("triton");
        }
    });
});

it.each([...TOOLS])("%s.lock holds what its input asks for", (tool) => {
    const locked = pins(tool).map((pin) => pin.name);
    expect(locked).toEqual(expect.arrayContaining(requirements(tool).map(({ name }) => name)));
});

it.each(NPM_LOCKS)("%s: package-lock.json agrees with its package.json", (folder) => {
    const manifest = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
    const { packages } = JSON.parse(readFileSync(`${folder}/package-lock.json`, "utf8"));
    expect(packages[""].dependencies).toEqual(manifest.dependencies);
});

/** Every tracked file, so that no lock is forgotten that a list would have to name. */
const tracked = execFileSync("git", ["ls-files"], { encoding: "utf8" }).split("\n").filter(existsSync);
const named = (pattern: RegExp) => tracked.filter((file) => pattern.test(file));

describe("what is downloaded is what was recorded", () => {
    it.each(named(/(^|\/)package-lock\.json$/))("%s has an integrity for every package", (file) => {
        const text = readFileSync(file, "utf8");
        const { "": _, ...packages } = JSON.parse(text).packages;
        const unchecked = Object.keys(packages).filter((path) => {
            const { integrity, inBundle, link } = packages[path];
            // What lies in another package's archive is covered by that one's integrity; a workspace is in here.
            const isHere = inBundle || link || !path.includes("node_modules/");
            return !isHere && !/^sha512-[\w+/]{86}==$/.test(integrity);
        });
        expect(unchecked).toEqual([]);
        expect(text).not.toMatch(/"resolved": "[^"]*:/);
    });

    it("scripts/tools.lock has a checksum and an address for every tool", () => {
        const lines = readFileSync("scripts/tools.lock", "utf8")
            .split("\n")
            .filter((line) => /^[^#]/.test(line));
        expect(lines).not.toEqual([]);
        for (const line of lines) {
            expect(line).toMatch(/^\w+ +[\w-]+ +[\d.]+ +[0-9a-f]{64} +https:\/\/\S+$/);
        }
    });

    const requirements = named(/\.lock$|requirements[^/]*\.txt$/).filter(
        (file) => file !== "scripts/tools.lock",
    );
    it.each(requirements)("%s has a hash for every package", (file) => {
        const locked = parseLock(readFileSync(file, "utf8"));
        expect(locked.length).toBeGreaterThan(0);
        expect(locked.filter(({ hashes }) => hashes.length === 0)).toEqual([]);
    });

    it("versions.json has a sha256 for every download", () => {
        const downloads = (value: unknown, path: string): [string, Record<string, unknown>][] => {
            if (typeof value !== "object" || value === null) {
                return [];
            }
            const inside = Object.entries(value).flatMap(([key, one]) => downloads(one, `${path}/${key}`));
            return "url" in value ? [[path, value as Record<string, unknown>], ...inside] : inside;
        };
        const all = downloads(JSON.parse(readFileSync("dockerfiles/versions.json", "utf8")), "");
        expect(all.length).toBeGreaterThan(0);
        const sums = (value: unknown): unknown[] =>
            typeof value === "object" && value !== null ? Object.values(value).flatMap(sums) : [value];
        for (const [path, { sha256, sha512 }] of all) {
            const found = sums(sha256 ?? sha512);
            expect(found.length, path).toBeGreaterThan(0);
            expect(
                found.filter((sum) => !/^([0-9a-f]{64}|[0-9a-f]{128})$/.test(String(sum))),
                path,
            ).toEqual([]);
        }
    });

    it("no package's install script runs on a user's machine", () => {
        expect(readFileSync(".npmrc", "utf8").split("\n")).toContain("ignore-scripts=true");
        expect(execFileSync("npm", ["config", "get", "ignore-scripts"], { encoding: "utf8" }).trim()).toBe(
            "true",
        );
    });

    it("the project is no package that could be run by name", () => {
        expect(JSON.parse(readFileSync("package.json", "utf8"))).toMatchObject({ private: true });
        expect(readFileSync("package.json", "utf8")).not.toContain('"bin"');
    });
});
