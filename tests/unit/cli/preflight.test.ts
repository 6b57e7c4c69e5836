import { chmodSync, existsSync, mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { DockerInfo } from "../../../cli/docker";
import { checkImageStore } from "../../../cli/preflight/engineChecks";
import { checkSubnet } from "../../../cli/preflight/subnet";
import {
    container,
    healthyDocker,
    healthyInfo,
    obedientPulumi,
    portOffset,
    type Rule,
    running,
    type Sandbox,
    sandbox,
} from "./harness";

describe("before anything is touched", () => {
    it("reports every bad setting at once, and asks nothing of Docker", async () => {
        const box = sandbox();
        box.install("docker", healthyDocker);
        box.configure({ uid: "root", memory: 1, colour: "red" });
        const { exitCode, stderr } = await box.carbon(["up", "--yes"]);
        expect(exitCode).toBe(1);
        expect(stderr).toContain('error: The configuration of stack "dev" has 3 problems:');
        expect(stderr).toMatch(/carbon:uid = .*\n.*carbon:memory = |carbon:memory = .*\n.*carbon:uid = /);
        expect(stderr).toContain("carbon:colour");
        expect(box.calls()).toEqual([]);
    });

    it("says which ports are taken, all at once, and what to do", async () => {
        const box = sandbox();
        box.install("docker", healthyDocker);
        box.install("pulumi", obedientPulumi);
        const ssh = await box.occupyPort();
        const redis = await box.occupyPort();
        box.configure({
            ports: { ssh, redis, postgres: portOffset + 5432, mqtt: portOffset + 1883 },
            toolsets: ["databases"],
            compute: false,
        });
        const { exitCode, stderr } = await box.carbon(["up", "--yes"]);
        expect(exitCode).toBe(1);
        expect(stderr.split("\n")).toEqual([
            "error: 2 problems to solve first; nothing was changed:",
            expect.stringContaining(
                `  port ${ssh} (ssh) is taken by another program. Type \`lsof -nP -iTCP:${ssh}`,
            ),
            expect.stringContaining(`  port ${redis} (redis) is taken by another program. `),
        ]);
        expect(box.commands("pulumi")).not.toContainEqual(expect.stringMatching(/^up/));
        expect(existsSync(join(box.dir, "workspace"))).toBe(false);
    });

    it("says that the bind address is not this machine's", async () => {
        const box = sandbox();
        box.install("docker", healthyDocker);
        // Of TEST-NET-1 (RFC 5737), which nobody has.
        box.configure({ bindAddress: "192.0.2.1", services: [], toolsets: [], compute: false });
        const { stderr } = await box.carbon(["up", "--yes"]);
        expect(stderr).toContain(
            "port 2222 (ssh) cannot be opened: 192.0.2.1 is not an address of this machine",
        );
    });

    it("lets the stack's own containers hold their ports", async () => {
        const box = sandbox();
        const ssh = await box.occupyPort();
        box.install("docker", [...running(container("workspace", { "2222/tcp": ssh })), ...healthyDocker]);
        box.install("pulumi", obedientPulumi);
        box.configure({ ports: { ssh }, services: [], toolsets: [], compute: false, verify: "off" });
        expect(await box.carbon(["up", "--yes"])).toMatchObject({ exitCode: 0 });
    });

    it("names the foreign container that holds a port", async () => {
        const box = sandbox();
        const ssh = await box.occupyPort();
        const foreign = container(
            "shop",
            { "22/tcp": ssh },
            { Name: "/shop", Config: { Labels: {}, Image: "shop" } },
        );
        box.install("docker", [...running(foreign), ...healthyDocker]);
        box.configure({ ports: { ssh }, services: [], toolsets: [], compute: false });
        const { stderr } = await box.carbon(["up", "--yes"]);
        expect(stderr).toContain(
            `port ${ssh} (ssh) is taken by the container shop. Free it, or set carbon:ports`,
        );
    });

    it("names appPorts where a port of the user's own programs is taken", async () => {
        const box = sandbox();
        box.install("docker", healthyDocker);
        const app = await box.occupyPort();
        const ports = { ssh: portOffset + 2222 };
        box.configure({ appPorts: [app], ports, services: [], toolsets: [], compute: false });
        const { exitCode, stderr } = await box.carbon(["up", "--yes"]);
        expect(exitCode).toBe(1);
        expect(stderr).toContain(`port ${app} (appPorts) is taken by another program.`);
        expect(stderr).toContain("Free it, or set carbon:appPorts or carbon:portOffset in Pulumi.dev.yaml.");
    });

    it("says what holds a port of the user's own programs, and lets the stack's own container do so", async () => {
        const box = sandbox();
        const app = await box.occupyPort();
        box.configure({
            appPorts: [app],
            services: [],
            toolsets: [],
            compute: false,
            portOffset: 0,
            ports: { ssh: portOffset + 2222 },
        });
        const foreign = container(
            "shop",
            { "80/tcp": app },
            { Name: "/shop", Config: { Labels: {}, Image: "shop" } },
        );
        box.install("docker", [...running(foreign), ...healthyDocker]);
        expect((await box.carbon(["up", "--yes"])).stderr).toContain(
            `port ${app} (appPorts) is taken by the container shop. Free it, or set carbon:appPorts`,
        );
        box.install("docker", [...running(container("workspace", { "61000/tcp": app })), ...healthyDocker]);
        box.install("pulumi", obedientPulumi);
        expect(await box.carbon(["up", "--yes"])).toMatchObject({ exitCode: 0 });
    });

    it("says which of this machine's networks an address range is part of", async () => {
        const interfaces = {
            en7: [{ family: "IPv4", address: "172.30.7.12", cidr: "172.30.7.12/24" }],
        } as never;
        for (const subnet of ["172.30.7.0/24", "172.30.0.0/16", "172.30.7.128/28"]) {
            expect(checkSubnet(subnet, interfaces)).toMatchObject({
                status: "failure",
                detail: `the address range ${subnet} is part of a network of this machine's, en7 (172.30.7.12/24)`,
            });
        }
        // Its own gateway, where it is deployed already, is no other network.
        const deployed = { br: [{ family: "IPv4", address: "172.30.8.1", cidr: "172.30.8.1/24" }] } as never;
        expect(checkSubnet("172.30.8.0/24", deployed)).toMatchObject({ status: "ok" });
        expect(checkSubnet(undefined, interfaces)).toBeUndefined();
        for (const subnet of ["172.30.8.0/24", "172.31.0.0/16", "10.0.0.0/16"]) {
            expect(checkSubnet(subnet, interfaces)).toMatchObject({ status: "ok", detail: subnet });
        }
    });

    it("reports what is wrong with Docker and its images in one go", async () => {
        const box = sandbox();
        const overlay = JSON.stringify({
            ServerVersion: "28.0.0",
            DriverStatus: [["Backing Filesystem", "extfs"]],
        });
        box.install("docker", [
            { match: "^info ", stdout: overlay },
            { match: "^buildx version$", code: 1, stderr: "docker: unknown command: docker buildx" },
            { match: "^buildx imagetools inspect ", code: 1, stderr: "ERROR: no such host" },
            { match: "^image inspect ", code: 1 },
            ...healthyDocker,
        ]);
        const { exitCode, stderr } = await box.carbon(["up", "--yes"]);
        expect(exitCode).toBe(1);
        expect(stderr).toContain("3 problems to solve first; nothing was changed:");
        expect(stderr).toContain("Docker does not keep images in containerd's store");
        expect(stderr).toContain("docker buildx is not installed. ");
        expect(stderr).toContain(
            "debian:trixie-slim is not here and cannot be pulled: ERROR: no such host. ",
        );
    });

    it("asks for the disk of a first build, less what the engine keeps of the suite's already", async () => {
        const cache = { match: "^system df ", stdout: "Images 12.5GB\nBuild Cache 9.5GB\n" };
        // Two stacks have the layers of one image.
        const stacks = { match: "^system df ", stdout: "Images 42.78GB\nBuild Cache 9.5GB\n" };
        // All of them were made, for a stack of another name.
        const everything = { match: "^system df ", stdout: "Images 60.2GB\nBuild Cache 48.1GB\n" };
        const images = {
            match: "^image ls ",
            stdout: "localhost/carbon/compute 23.4GB\nlocalhost/carbon/compute 23.4GB\ncarbonara/pan 12GB\nubuntu 78.1MB\n",
        };
        const need = async (torchIndex: string, ...rules: Rule[]) => {
            const box = sandbox();
            box.configure({ portOffset, torchIndex });
            box.install("docker", [
                { match: "^image inspect .*compute", code: 1 },
                // An engine with a disk of its own, as Docker Desktop's: a container tells how much is free.
                { match: "^info ", stdout: JSON.stringify({ ...healthyInfo, DockerRootDir: "/nowhere" }) },
                { match: "^run .* df ", stdout: "Avail\n3000000000\n" },
                ...rules,
                ...healthyDocker,
            ]);
            const { stderr } = await box.carbon(["up", "--yes"]);
            return /only 3.0 GB free, a build needs about (\d+) GB/.exec(stderr)?.[1];
        };
        expect(await need("auto")).toBe("44");
        expect(await need("pypi")).toBe("60");
        expect(await need("pypi", cache, images)).toBe("48");
        expect(await need("pypi", stacks, images)).toBe("20");
        // No more than a rebuild, which the 3 GB are enough for.
        expect(await need("pypi", everything, images)).toBeUndefined();
    });

    it("says that the engine is too old, and which version to install", async () => {
        const box = sandbox();
        box.install("docker", engine({ ServerVersion: "20.10.24" }));
        const { exitCode, stderr } = await box.carbon(["up", "--yes"]);
        expect(exitCode).toBe(1);
        expect(stderr).toMatch(/20\.10\.24 on .* is too old\. Install version 23 or later\./);
    });

    it.each([
        ["darwin", 'Switch on "Use containerd for pulling and storing images" in Docker Desktop'],
        ["linux", 'Put {"features":{"containerd-snapshotter":true}} into /etc/docker/daemon.json'],
    ] as const)("says how to change the image store on %s", (platform, advice) => {
        expect(checkImageStore({} as DockerInfo, platform)).toMatchObject({
            status: "failure",
            advice: expect.stringContaining(advice),
        });
    });

    it("names the platforms that the builder cannot build for", async () => {
        const box = sandbox();
        box.install("docker", [
            { match: "^buildx inspect ", stdout: "Platforms: linux/amd64\n" },
            ...healthyDocker,
        ]);
        const { stderr } = await box.carbon(["build", "--arm64"]);
        expect(stderr).toContain("default cannot build for linux/arm64, because no emulation is set up. ");
    });

    it("says so when no Docker Engine answers, and what to type", async () => {
        const box = sandbox();
        box.install("docker", [{ match: "^info ", code: 1, stderr: "Cannot connect to the Docker daemon" }]);
        const { exitCode, stderr } = await box.carbon(["up", "--yes"]);
        expect(exitCode).toBe(1);
        expect(stderr).toMatch(/Docker does not answer: Cannot connect to the Docker daemon\. (Type|Start)/);
    });

    it("says so when there is no docker command at all", async () => {
        const { exitCode, stderr } = await sandbox().carbon(["up", "--yes"]);
        expect(exitCode).toBe(1);
        expect(stderr).toContain("Docker does not answer: docker is not installed. ");
    });
});

/** An engine with Docker's own answers, but for these. */
function engine(changes: Record<string, unknown>): Rule[] {
    return [{ match: "^info ", stdout: JSON.stringify({ ...healthyInfo, ...changes }) }, ...healthyDocker];
}

/** The system's programs that tell whether the rules against neighbours are there, as seen by this user. */
function fakeFirewall(box: Sandbox, user: "root" | "ada", ...missing: string[]): void {
    const program = (name: string, body: string) =>
        writeFileSync(join(box.bin, name), `#!/bin/sh\n${body}\n`, { mode: 0o755 });
    program("id", `echo ${user === "root" ? 0 : 1000}`);
    program("iptables", `case "$*" in ${missing.map((rule) => `*"${rule}"*) exit 1 ;; `).join("")}esac`);
    program("ip6tables", "exit 1");
}

describe.skipIf(process.platform !== "linux")("an engine that trusts its neighbours", () => {
    const sentence = "Docker 26.1.5 lets machines on the same network segment reach the containers' ports";
    const advice = "Upgrade Docker to 28, or add the rules that docs/troubleshooting.md has.";
    const doctor = async (info: Record<string, unknown>, env = {}, prepare?: (box: Sandbox) => void) => {
        const box = sandbox();
        box.install("docker", engine(info));
        box.install("pulumi", obedientPulumi);
        prepare?.(box);
        const { exitCode, stdout } = await box.carbon(["doctor"], env);
        expect(exitCode).toBe(0);
        return stdout;
    };

    it.each(["docker+", "br-+", "--ctorigdst 127.0.0.0/8"])(
        "is warned of where the rule for %s is missing",
        async (rule) => {
            const said = await doctor({ ServerVersion: "26.1.5" }, {}, (box) =>
                fakeFirewall(box, "root", rule),
            );
            expect(said).toContain(
                `! network neighbours: ${sentence}, also those on 127.0.0.1\n    ${advice}`,
            );
        },
    );

    it("is well where the rules are there", async () => {
        const said = await doctor({ ServerVersion: "26.1.5" }, {}, (box) => fakeFirewall(box, "root"));
        expect(said).toContain("✓ network neighbours: kept out by rules in the chain DOCKER-USER");
    });

    it("is warned of where only root could see the rules, and where the engine is elsewhere", async () => {
        // Another machine's files: on this one the rules may have been installed.
        const nothingInstalled = { CARBON_NEIGHBOURS_ROOT: "/nowhere" };
        const unseen = await doctor({ ServerVersion: "26.1.5" }, nothingInstalled, (box) =>
            fakeFirewall(box, "ada"),
        );
        expect(unseen).toContain(
            `${sentence}, also those on 127.0.0.1, unless rules stop it, which only root can see`,
        );
        const remote = { DOCKER_HOST: "tcp://192.0.2.1:2375" };
        const elsewhere = await doctor({ ServerVersion: "26.1.5" }, remote, (box) =>
            fakeFirewall(box, "root"),
        );
        expect(elsewhere).toContain(`${sentence}, also those on 127.0.0.1, unless rules there stop it`);
    });

    it("is none where version 28 runs, Docker Desktop, or a rootless engine", async () => {
        expect(await doctor({ ServerVersion: "28.0.0" })).toContain(
            "✓ network neighbours: kept out by Docker 28.0.0",
        );
        const desktop = { ServerVersion: "27.0.0", OperatingSystem: "Docker Desktop" };
        const rootless = { ServerVersion: "27.0.0", SecurityOptions: ["name=seccomp", "name=rootless"] };
        expect(await doctor(desktop)).not.toContain("network neighbours");
        expect(await doctor(rootless)).not.toContain("network neighbours");
    });

    it("is said by `up`, which goes on", async () => {
        const box = sandbox();
        fakeFirewall(box, "root", "docker+");
        box.install("docker", engine({ ServerVersion: "26.1.5" }));
        box.install("pulumi", obedientPulumi);
        const { exitCode, stderr } = await box.carbon(["up", "--yes"]);
        expect(exitCode).toBe(0);
        expect(stderr).toContain(`! ${sentence}, also those on 127.0.0.1. ${advice}`);
    });
});

describe("the workspace folder", () => {
    const up = async (prepare?: (box: Sandbox) => void) => {
        const box = sandbox();
        box.install("docker", healthyDocker);
        box.install("pulumi", obedientPulumi);
        prepare?.(box);
        expect(await box.carbon(["up", "--yes"])).toMatchObject({ exitCode: 0 });
        return box;
    };
    const mode = (folder: string) => statSync(folder).mode & 0o777;

    it("is its owner's alone when it is made", async () => {
        const box = await up();
        expect(mode(join(box.dir, "workspace"))).toBe(0o700);
    });

    it("is made where a link leads to", async () => {
        const box = await up(({ dir }) => symlinkSync("elsewhere", join(dir, "workspace")));
        expect(mode(join(box.dir, "elsewhere"))).toBe(0o700);
    });

    it("keeps the mode that it has, and doctor says on Linux that it is open", async () => {
        const box = await up(({ dir }) => {
            mkdirSync(join(dir, "workspace"));
            chmodSync(join(dir, "workspace"), 0o755);
        });
        const folder = join(box.dir, "workspace");
        expect(mode(folder)).toBe(0o755);
        const said = async () => (await box.carbon(["doctor"])).stdout;
        const isLinux = process.platform === "linux";
        expect((await said()).includes(`! workspace folder: ${folder} is open to other users`)).toBe(isLinux);
        expect((await said()).includes(`Type: chmod 700 ${folder}`)).toBe(isLinux);
        chmodSync(folder, 0o700);
        expect(await said()).not.toContain("! workspace folder");
    });
});

describe("doctor", () => {
    it("looks at the address range where one is chosen", async () => {
        const box = sandbox();
        box.install("docker", healthyDocker);
        box.install("pulumi", obedientPulumi);
        box.configure({ subnet: "10.255.240.0/28", services: [], toolsets: [], compute: false });
        expect((await box.carbon(["doctor"])).stdout).toContain("✓ address range: 10.255.240.0/28");
        box.configure({ services: [], toolsets: [], compute: false });
        expect((await box.carbon(["doctor"])).stdout).not.toContain("address range");
    });

    it("ticks off what is well, and exits 0", async () => {
        const box = sandbox();
        box.install("docker", healthyDocker);
        box.install("pulumi", obedientPulumi);
        const { exitCode, stdout } = await box.carbon(["doctor"]);
        expect(stdout).not.toContain("✗");
        expect(exitCode).toBe(0);
        expect(stdout).toContain("✓ Docker Engine: 28.0.0 on Debian GNU/Linux 13 (trixie), x86_64");
        expect(stdout).toContain("✓ image store: containerd");
        const ports = [1883, 2222, 5432, 6379].map((port) => portOffset + port);
        expect(stdout).toContain(`✓ ports: ${ports.join(", ")} on 127.0.0.1`);
    });

    it("crosses out what is not, says what to do, and exits 1", async () => {
        const box = sandbox();
        box.install("pulumi", obedientPulumi);
        box.configure({ memory: 1 });
        const { exitCode, stdout } = await box.carbon(["doctor"]);
        expect(exitCode).toBe(1);
        expect(stdout).toMatch(/✗ configuration of dev: .*carbon:memory = /s);
        expect(stdout).toMatch(/✗ Docker Engine: Docker does not answer: docker is not installed\n {4}\S/);
    });

    it("answers with one document with --json", async () => {
        const box = sandbox();
        box.install("docker", healthyDocker);
        const { stdout } = await box.carbon(["doctor", "--json"]);
        expect(JSON.parse(stdout)).toMatchObject({
            healthy: true,
            checks: expect.arrayContaining([{ title: "image store", status: "ok", detail: "containerd" }]),
        });
    });
});
