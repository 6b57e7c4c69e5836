import {
    chmodSync,
    existsSync,
    lstatSync,
    readFileSync,
    statSync,
    symlinkSync,
    writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { everyService } from "../../../catalogue";
import { hostAndPort, loginUrl } from "../../../cli/login";
import { memorySetting, parseMemory } from "../../../cli/memory";
import { checkAuthorities } from "../../../cli/preflight/authorities";
import { authority } from "./authorities";
import {
    container,
    healthyDocker,
    obedientPulumi,
    portOffset,
    type Rule,
    rulesFile,
    running,
    sandbox,
} from "./harness";

const exited = { State: { Status: "exited", StartedAt: "", FinishedAt: "2026-01-01T00:00:00Z" } };
const settings = { portOffset, toolsets: ["databases"], compute: false, services: ["redis"] };

describe("stop and start", () => {
    it("stops the workspace first and what others need last, and starts them the other way round", async () => {
        const box = sandbox();
        const names = ["spark-master", "workspace", "spark-worker-1", "redis"];
        box.install("docker", [
            ...running(...names.map((name) => container(name))),
            { match: "^stop " },
            ...healthyDocker,
        ]);
        expect((await box.carbon(["stop"])).stdout).toContain(
            "Stopped 4 containers; `./carbon start` starts them again.",
        );
        expect(box.commands("docker").filter((command) => command.startsWith("stop "))).toEqual([
            "stop id-of-workspace",
            "stop id-of-spark-worker-1",
            "stop id-of-spark-master id-of-redis",
        ]);
    });

    it("does nothing twice", async () => {
        const box = sandbox();
        box.install("docker", [...running(container("redis", {}, exited)), ...healthyDocker]);
        expect(await box.carbon(["stop"])).toMatchObject({
            exitCode: 0,
            stdout: "The stack dev is stopped already.",
        });
        box.install("docker", [...running(container("redis")), ...healthyDocker]);
        expect(await box.carbon(["start"])).toMatchObject({
            exitCode: 0,
            stdout: "The stack dev runs already.",
        });
    });

    it("says which service does not stay up, and where to look", async () => {
        const box = sandbox();
        box.install("docker", [
            ...running(container("redis", {}, exited)),
            { match: "^start " },
            ...healthyDocker,
        ]);
        expect(await box.carbon(["start"])).toMatchObject({
            exitCode: 1,
            stderr: "error: redis does not stay up. Type: ./carbon logs redis",
        });
    });

    it.each([
        [
            "with a state",
            "carbon-dev-home\n",
            "The stack dev is down; its data and its passwords are kept. Type: ./carbon up",
        ],
        ["without one", "carbon-dev-home\n", "The stack dev is down; its data are kept. Type: ./carbon up"],
        ["without volumes", "", "The stack dev is not deployed. Type: ./carbon up"],
    ])("tells what is down from what never was: %s", async (state, volumes, message) => {
        const box = sandbox();
        if (state === "with a state") {
            box.saveState("dev", []);
        }
        box.install("docker", [{ match: "^volume ls ", stdout: volumes }, ...healthyDocker]);
        expect(await box.carbon(["start"])).toMatchObject({ exitCode: 1, stderr: `error: ${message}` });
        expect((await box.carbon(["status"])).stdout).toContain(message);
    });

    it.each([[["drift"]], [["preview", "--refresh"]], [["refresh"]]])(
        "keeps the Docker provider, which deletes what is stopped, from looking: %j",
        async (args) => {
            const box = sandbox();
            box.install("docker", [...running(container("redis", {}, exited)), ...healthyDocker]);
            box.install("pulumi", [{ match: "^preview --json", stdout: "{}" }, ...obedientPulumi]);
            const { exitCode, stdout, stderr } = await box.carbon(args);
            expect(exitCode).toBe(args[0] === "drift" ? 3 : 1);
            expect(stdout + stderr).toMatch(/Stopped: redis|redis +state +running +stopped/);
            const looks = box
                .commands("pulumi")
                .filter((command) => /^(preview .*--refresh|refresh) /.test(command));
            expect(looks).toEqual([]);
        },
    );

    it("leaves what has never run to the next up, which makes it anew and starts nothing", async () => {
        const box = sandbox();
        const unborn = { State: { Status: "created", StartedAt: "", FinishedAt: "" } };
        box.install("docker", [...running(container("redis", {}, unborn)), ...healthyDocker]);
        box.install("pulumi", [{ match: "^up ", code: 1 }, ...obedientPulumi]);
        expect(await box.carbon(["start"])).toMatchObject({
            exitCode: 1,
            stderr: "error: Never started: redis. What made it was cut off, so it may lack files. Type: ./carbon up",
        });
        await box.carbon(["up", "--yes"]);
        expect(box.commands("pulumi").filter((command) => command.startsWith("up "))).toHaveLength(1);
        expect(box.commands("docker").filter((command) => command.startsWith("start "))).toEqual([]);
    });

    it("is undone by an up before anything is compared", async () => {
        const box = sandbox();
        const rules = (state: Record<string, unknown>): Rule[] => [
            ...running(container("redis", {}, state)),
            { match: "^start ", writes: [join(box.dir, "started"), ""] },
            ...healthyDocker,
        ];
        box.install("docker", rules(exited));
        box.install("pulumi", obedientPulumi);
        const { stderr } = await box.carbon(["up", "--yes"]);
        // The fake stays stopped: then the deployment has to make it anew.
        expect(stderr).toContain("redis does not stay up");
        const order = box.calls().map(({ program, args }) => `${program} ${args[0]}`);
        expect(order.indexOf("docker start")).toBeGreaterThan(0);
        expect(order.indexOf("docker start")).toBeLessThan(order.indexOf("pulumi up"));
    });
});

describe("status", () => {
    const cgroup =
        "104857600\n268435456\nlow 0\noom 3\noom_kill 2\noom_group_kill 0\nanon 1\ninactive_file 4857600\n";

    it("says what Linux has ended for want of memory, with the setting that raises the limit", async () => {
        const box = sandbox();
        box.configure(settings);
        box.install("docker", [
            ...running(container("workspace"), container("redis")),
            { match: "^exec id-of-(redis|workspace) cat /sys/fs/cgroup/memory.current ", stdout: cgroup },
            { match: "^exec ", code: 1 },
            ...healthyDocker,
        ]);
        const { exitCode, stdout } = await box.carbon(["status"]);
        expect(exitCode).toBe(0);
        expect(stdout).toMatch(/^redis .* 95 of 256 MiB /m);
        expect(stdout).toContain(
            "! redis: Linux has ended 2 programs for want of memory, of which it may use 256 MiB. carbon:serviceMemory raises the limit.",
        );
        expect(stdout).toMatch(/! workspace: .* carbon:memory raises the limit\./);
        const { services } = JSON.parse((await box.carbon(["status", "--json"])).stdout);
        expect(services[1]).toMatchObject({
            memory: { used: 100_000_000, limit: 268_435_456, killed: 2 },
            outOfMemory: true,
        });
    });

    it("knows it of a service that has ended, and says how to start it", async () => {
        const box = sandbox();
        const killed = container("redis", {}, { State: { Status: "exited", OOMKilled: true } });
        box.install("docker", [
            ...running(container("workspace"), killed),
            { match: "^exec ", code: 1 },
            ...healthyDocker,
        ]);
        const { stdout } = await box.carbon(["status"]);
        expect(stdout).toContain("redis: stopped (./carbon start)");
        expect(stdout).toContain("! redis: Linux has ended the service for want of memory.");
    });

    it("takes no other document for the kernel's", () => {
        expect(parseMemory("")).toBeUndefined();
        expect(parseMemory("cat: no such file")).toBeUndefined();
        expect(parseMemory("5\nmax\n")).toEqual({ used: 5, killed: 0 });
        expect(parseMemory("5\n9223372036854771712\noom_kill 1\n")).toEqual({ used: 5, killed: 1 });
        expect(memorySetting("spark-worker-2")).toBe("carbon:sparkWorkerMemory");
    });
});

describe("credentials rotate", () => {
    const rotate = async (args: string[], configured: Record<string, unknown> = {}) => {
        const box = sandbox();
        box.configure({ portOffset, toolsets: ["databases"], compute: false, ...configured });
        box.install("docker", [
            ...running(container("redis")),
            { match: "^exec ", code: 1 },
            ...healthyDocker,
        ]);
        box.install("pulumi", obedientPulumi);
        const result = await box.carbon(["credentials", "rotate", ...args]);
        return { ...result, up: box.commands("pulumi").find((command) => command.startsWith("up ")) };
    };

    it.each([
        ["redis", "**::redis-redis-password"],
        ["ssh", "**::workspace-ssh-password"],
        ["workspace", "**::workspace-ssh-password"],
    ])("replaces the password of %s alone", async (name, glob) => {
        const { exitCode, stdout, up } = await rotate([name, "--yes"]);
        expect(exitCode).toBe(0);
        expect(stdout).toContain("New passwords for ");
        expect(up).toBe(`up --stack dev --refresh --yes --skip-preview --replace ${glob}`);
    });

    it("changes all of them where none is named", async () => {
        const { up } = await rotate(["--yes"], { services: ["redis"] });
        expect(up).toContain("--replace **::workspace-ssh-password --replace **::redis-redis-password");
    });

    it("lists what there is where the name is wrong, and asks where nobody has said yes", async () => {
        expect(await rotate(["oracle", "--yes"])).toMatchObject({
            exitCode: 2,
            stderr: "error: The stack has no password named oracle. It has: mosquitto, postgres, redis, ssh, workspace.",
        });
        const asked = await rotate(["redis"]);
        expect(asked.exitCode).toBe(2);
        expect(asked.up).toBeUndefined();
    });
});

describe("what is kept", () => {
    const resources = (...retained: string[]) =>
        JSON.stringify({
            deployment: { resources: retained.map((urn) => ({ urn, retainOnDelete: true })) },
        });

    it("is not called deleted by down", async () => {
        const box = sandbox();
        box.install("docker", healthyDocker);
        const after = [
            { match: "^stack export ", stdout: resources("urn:other") },
            {
                match: "^stack history ",
                stdout: JSON.stringify([{ resourceChanges: { delete: 5, same: 3 } }]),
            },
        ];
        box.install("pulumi", [
            { match: "^stack export ", stdout: resources("urn:volume", "urn:image", "urn:other") },
            {
                match: "^destroy ",
                writes: [join(box.dir, "rules"), rulesFile({ docker: healthyDocker, pulumi: after })],
            },
            ...obedientPulumi,
        ]);
        expect((await box.carbon(["down", "--yes"])).stdout).toContain("is down: 3 deleted, 2 kept.");
    });

    it("is counted apart in a preview's document, and in drift's", async () => {
        const box = sandbox();
        const steps = [
            { op: "delete", urn: "urn:a", oldState: { retainOnDelete: true } },
            { op: "delete", urn: "urn:b", oldState: {} },
            { op: "same", urn: "urn:c" },
        ];
        const plan = { steps, changeSummary: { delete: 2, same: 1 } };
        box.install("docker", healthyDocker);
        const nothing = { match: "^stack export ", stdout: "{}" };
        box.install("pulumi", [
            nothing,
            { match: "^preview ", stdout: JSON.stringify(plan) },
            ...obedientPulumi,
        ]);
        const { stdout } = await box.carbon(["preview", "--json"]);
        expect(JSON.parse(stdout).changes).toEqual({ delete: 1, keep: 1, same: 1 });
        expect(JSON.parse((await box.carbon(["drift", "--json"])).stdout).differences).toMatchObject([
            { urn: "urn:a", operation: "keep" },
            { urn: "urn:b", operation: "delete" },
        ]);
    });

    it("is nothing with --volumes: then the passwords go, too", async () => {
        const box = sandbox();
        box.install("docker", healthyDocker);
        box.install("pulumi", obedientPulumi);
        await box.carbon(["down", "--yes", "--volumes"]);
        expect(box.commands("pulumi")).toContain("destroy --stack dev --refresh --yes --skip-preview");
    });
});

describe("open", () => {
    const withBrowser = async (...args: string[]) => {
        const box = sandbox();
        box.install("docker", [...running(container("workspace")), ...healthyDocker]);
        box.install("pulumi", obedientPulumi);
        const [browser, told] = [join(box.bin, "google-chrome"), join(box.dir, "told")];
        writeFileSync(browser, `#!/bin/sh\nprintf '%s' "$*" >'${told}'\n`);
        writeFileSync(join(box.bin, "xdg-mime"), "#!/bin/sh\necho google-chrome.desktop\n");
        chmodSync(browser, 0o755);
        chmodSync(join(box.bin, "xdg-mime"), 0o755);
        const result = await box.carbon(["open", ...args], { DISPLAY: ":0" });
        for (let tries = 0; tries < 100 && !existsSync(told); tries++) {
            await sleep(100);
        }
        return { box, ...result, told: existsSync(told) ? readFileSync(told, "utf8") : "" };
    };

    it.runIf(process.platform === "linux")(
        "logs in by a page that its user alone can read; nobody else sees the secret",
        async () => {
            const { box, exitCode, stdout, told } = await withBrowser();
            expect(exitCode).toBe(0);
            const page = join(box.dir, ".carbon", "open.html");
            expect(told).toContain(page);
            expect(told).not.toContain("s3cret");
            expect(stdout).not.toContain("s3cret");
            expect(statSync(page).mode & 0o777).toBe(0o600);
            expect(readFileSync(page, "utf8")).toContain(
                'content="0; url=http://127.0.0.1:8888/login?next=%2Flab#token=s3cret-jupyter"',
            );
            // Gone with the stack.
            await box.carbon(["down", "--yes"]);
            expect(existsSync(page)).toBe(false);
        },
    );

    it.runIf(process.platform === "linux")(
        "writes no page through a link that lies in its place",
        async () => {
            const { box } = await withBrowser();
            const page = join(box.dir, ".carbon", "open.html");
            await box.carbon(["down", "--yes"]);
            symlinkSync(join(box.dir, "elsewhere"), page);
            await box.carbon(["open"], { DISPLAY: ":0" });
            expect(existsSync(join(box.dir, "elsewhere"))).toBe(false);
            expect(lstatSync(page).isSymbolicLink()).toBe(false);
        },
    );

    it.each([
        [{ State: { Status: "exited" } }, "The stack dev is stopped. Type: ./carbon start"],
        [undefined, "The stack dev is not deployed. Type: ./carbon up"],
    ])("opens nothing that does not run", async (state, message) => {
        const box = sandbox();
        box.install("docker", [
            ...(state ? running(container("workspace", {}, state)) : []),
            ...healthyDocker,
        ]);
        box.install("pulumi", obedientPulumi);
        expect(await box.carbon(["open"])).toMatchObject({ exitCode: 1, stderr: `error: ${message}` });
    });

    it("has a secret for each address that logs in, in its fragment", () => {
        const ports = everyService.flatMap((service) => service.ports);
        const credentials = Object.fromEntries(
            everyService.flatMap(({ secrets }) =>
                secrets.map(({ key, field }) => [key, { [field]: "s3cret" }]),
            ),
        );
        const links = (scheme: string) =>
            ports
                .filter(({ loginUrl: template }) => template)
                .map(({ name }) => loginUrl(name, { [name]: `${scheme}://127.0.0.1:1/` }, credentials));
        expect(links("http")).toEqual([
            "http://127.0.0.1:1/#password=s3cret",
            "http://127.0.0.1:1/login?next=%2Flab#token=s3cret",
            "http://127.0.0.1:1/login#password=s3cret",
        ]);
        expect(links("https")[0]).toBe("https://127.0.0.1:1/login#password=s3cret");
        for (const link of [...links("http"), ...links("https")]) {
            expect(new URL(link ?? "").hash).toContain("s3cret");
        }
    });

    it.each([
        ["rdp://full%20address=s:127.0.0.1:3390", "127.0.0.1", "3390"],
        ["vnc://[::1]:5900", "::1", "5900"],
        ["ssh://carbon@192.0.2.1:2222", "192.0.2.1", "2222"],
        ["http://127.0.0.1:8888/lab", "127.0.0.1", "8888"],
    ])("takes %s apart", (url, host, port) => {
        expect(hostAndPort(url)).toEqual({ host, port });
    });
});

describe("ssh-config", () => {
    const key = `ssh-ed25519 ${"A".repeat(68)} root@workspace\n`;

    it("holds the workspace to the host key that its container has", async () => {
        const box = sandbox();
        box.install("docker", [{ match: "ssh_host_ed25519_key.pub$", stdout: key }, ...healthyDocker]);
        box.install("pulumi", obedientPulumi);
        const { exitCode, stdout } = await box.carbon(["ssh-config"]);
        expect(exitCode).toBe(0);
        const known = join(box.dir, ".carbon", "known_hosts-dev");
        expect(stdout.split("\n")).toEqual([
            "Host carbon-dev",
            "  HostName 127.0.0.1",
            "  Port 2222",
            "  User carbon",
            "  HostKeyAlias carbon-dev",
            `  UserKnownHostsFile ${known}`,
            "  StrictHostKeyChecking yes",
            "  ForwardAgent no",
        ]);
        expect(readFileSync(known, "utf8")).toBe(`carbon-dev ssh-ed25519 ${"A".repeat(68)}\n`);
        // A later up writes down the key of new volumes; down --volumes forgets it.
        writeFileSync(known, "");
        await box.carbon(["up", "--yes"]);
        expect(readFileSync(known, "utf8")).toContain("carbon-dev ssh-ed25519 ");
        await box.carbon(["down", "--volumes", "--yes"]);
        expect(existsSync(known)).toBe(false);
    });

    it("prints nothing of what is no key", async () => {
        const box = sandbox();
        box.install("docker", [
            { match: "^exec ", stdout: "carbon-dev\nProxyCommand evil\n" },
            ...healthyDocker,
        ]);
        box.install("pulumi", obedientPulumi);
        expect(await box.carbon(["ssh-config"])).toMatchObject({ exitCode: 1, stdout: "" });
    });
});

describe("certificate", () => {
    it("is written down, with how to trust it", async () => {
        const box = sandbox();
        box.configure({ portOffset, toolsets: ["databases"], compute: false, bindAddress: "0.0.0.0" });
        box.install("docker", [
            { match: "/run/carbon/tls/cert.pem$", stdout: authority.whole },
            ...healthyDocker,
        ]);
        const { exitCode, stdout } = await box.carbon(["certificate"]);
        expect(exitCode).toBe(0);
        const file = join(box.dir, ".carbon", "carbon-dev-workspace.pem");
        expect(readFileSync(file, "utf8")).toContain("BEGIN CERTIFICATE");
        expect(stdout).toContain(
            `security add-trusted-cert -r trustRoot -p ssl -k ~/Library/Keychains/login.keychain-db ${file}`,
        );
        expect(stdout).toMatch(/^SHA-256 ([0-9A-F]{2}:){31}[0-9A-F]{2}$/m);
    });

    it("says that there is none without TLS", async () => {
        const box = sandbox();
        const { exitCode, stderr } = await box.carbon(["certificate"]);
        expect(exitCode).toBe(1);
        expect(stderr).toContain("The stack dev speaks no TLS");
    });
});

describe("an authority of the network's", () => {
    it("is told apart by what Python asks for and others do not", () => {
        expect(checkAuthorities(undefined)).toEqual([]);
        expect(checkAuthorities(authority.whole)).toEqual([]);
        const [finding, ...rest] = checkAuthorities(`${authority.whole}\n${authority.bare}`);
        expect(rest).toEqual([]);
        expect(finding?.status).toBe("warning");
        expect(finding?.detail).toContain(
            "CN=bare has no critical basic constraints, no key usage: Python 3.13 refuses",
        );
    });
});
