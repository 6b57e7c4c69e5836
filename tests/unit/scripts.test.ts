import { execFileSync, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
    chmodSync,
    cpSync,
    existsSync,
    mkdirSync,
    mkdtempSync,
    readFileSync,
    rmSync,
    statSync,
    writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
    countListed,
    countRun,
    countUnittest,
    countVitest,
    finalLine,
    parseRuns,
    type Run,
    sum,
    summarize,
    vitestFailures,
} from "../../scripts/test-summary";

const repository = join(__dirname, "..", "..");

/** A copy of the scripts in a project of its own, and a folder of pretended commands that come first on PATH. */
let project: string;
let fakes: string;

beforeEach(() => {
    project = mkdtempSync(join(tmpdir(), "carbon-scripts-"));
    fakes = join(project, "fakes");
    mkdirSync(fakes);
    cpSync(join(repository, "scripts"), join(project, "scripts"), { recursive: true });
    writeFileSync(join(project, "package-lock.json"), "{}");
});

afterEach(() => rmSync(project, { recursive: true, force: true }));

/** Pretends a command: a shell script under that name. */
function fake(command: string, body: string): void {
    const file = join(fakes, command);
    writeFileSync(file, `#!/bin/sh\n${body}\n`);
    chmodSync(file, 0o755);
}

/** A user without root: `id -u` is 1000, and sudo asks for a password. */
function fakeOrdinaryUser(): void {
    fake("id", 'case "$1" in -u|-g) echo 1000 ;; -un) echo ada ;; esac');
    fake("sudo", "exit 1");
}

/** An engine that answers; any of its answers can be replaced. */
function fakeDocker(
    answers: { version?: string; buildx?: string; store?: string; create?: string; pull?: string } = {},
): void {
    const {
        version = "echo 28.5.2",
        buildx = "exit 0",
        store = 'echo \'[["driver-type","io.containerd.snapshotter.v1"]]\'',
        create = "echo 0123",
        pull = "exit 0",
    } = answers;
    fake(
        "docker",
        `case "$1 $*" in
            version*) ${version} ;;
            buildx*) ${buildx} ;;
            *MemTotal*) echo 16000000000 ;;
            info*) ${store} ;;
            create*) ${create} ;;
            pull*) ${pull} ;;
            *"context show") echo default ;;
        esac`,
    );
}

/** Runs a script of the copied project; only what the system itself has is on PATH behind the pretended commands. */
function run(script: string, args: string[] = [], env: Record<string, string> = {}) {
    const result = spawnSync("bash", [join(project, "scripts", script), ...args], {
        encoding: "utf8",
        env: { PATH: `${fakes}:/usr/bin:/bin`, HOME: project, ...env },
    });
    return { status: result.status, output: result.stdout + result.stderr };
}

/** Runs a shell expression with the helpers of lib.sh. */
function withLib(expression: string) {
    return spawnSync("bash", ["-c", `set -euo pipefail; . "${project}/scripts/lib.sh"; ${expression}`], {
        encoding: "utf8",
        env: { PATH: `${fakes}:/usr/bin:/bin`, HOME: project },
    });
}

describe("lib.sh", () => {
    it.each([
        ["26.1.5+dfsg1", "23", true],
        ["23", "23", true],
        ["23.0.0", "23", true],
        ["20.10.24", "23", false],
        ["v20.19.0", "20.19", true],
        ["v20.9.1", "20.19", false],
        ["1:28.5.1-rc.1", "1", true],
        ["", "1", false],
        ["unknown", "1", false],
    ])("version %s at least %s: %s", (have, want, expected) => {
        expect(withLib(`version_at_least '${have}' '${want}'`).status === 0).toBe(expected);
    });

    it("ends a command whose time is up, and passes on the status of one that is faster", () => {
        const started = Date.now();
        expect(withLib("within 1 sleep 20").status).not.toBe(0);
        expect(Date.now() - started).toBeLessThan(15_000);
        expect(withLib("within 20 sh -c 'exit 7'").status).toBe(7);
    });

    it("takes the Debian archive from the machine's own apt sources", () => {
        fake(
            "apt-get",
            `printf '%s\\n' 'Vendor|main|http://vendor.test/apt/' 'Debian|non-free|http://wrong.test/' \\
                'Debian|main|http://mirror.test/debian/' 'Debian-Security|main|http://mirror.test/security/'`,
        );
        expect(withLib("debian_mirror Debian").stdout.trim()).toBe("http://mirror.test/debian/");
        expect(withLib("debian_mirror Debian-Security").stdout.trim()).toBe("http://mirror.test/security/");
    });

    it("shows the end of the log of a step that fails, and its status", () => {
        const { status, stderr } = withLib("run_step 'Making things' sh -c 'echo the reason; exit 5'");
        expect(status).toBe(5);
        expect(stderr).toContain("Making things failed");
        expect(stderr).toContain("the reason");
    });
});

describe("docker-engine.sh", () => {
    it("has nothing to do with an engine that answers and fits", () => {
        fakeDocker();
        expect(run("docker-engine.sh", ["plan"])).toEqual({ status: 0, output: "" });
        expect(run("docker-engine.sh")).toEqual({ status: 0, output: "" });
    });

    it.each([
        ["an engine that is too old", { version: "echo 20.10.24" }, "Docker Engine 20.10.24 is too old"],
        ["a missing buildx plugin", { buildx: "exit 1" }, "no buildx plugin"],
        ["the old image store", { store: "echo '[]'" }, "containerd image store"],
    ])("says what to do about %s, and changes nothing", (_name, answers, sentence) => {
        fakeDocker(answers);
        const { status, output } = run("docker-engine.sh");
        expect(status).toBe(1);
        expect(output).toContain(sentence);
    });

    it("names Docker Desktop's setting on a Mac", () => {
        fake("uname", 'if [ "$1" = -m ]; then echo arm64; else echo Darwin; fi');
        fakeDocker({ store: "echo '[]'" });
        expect(run("docker-engine.sh").output).toContain(
            'Settings → General → "Use containerd for pulling and storing images"',
        );
    });

    it.skipIf(process.platform === "darwin")("says how to get Docker Desktop on a Mac without it", () => {
        fake("uname", "echo Darwin");
        fakeDocker({ version: "exit 1" });
        const { status, output } = run("docker-engine.sh", ["plan"]);
        expect(status).toBe(3);
        expect(output).toContain("brew install --cask docker");
    });

    it.skipIf(process.platform !== "linux")("sends a user without access to the docker group", () => {
        fakeOrdinaryUser();
        fakeDocker({ version: "echo 'permission denied while trying to connect' >&2; exit 1" });
        const { status, output } = run("docker-engine.sh", ["plan"]);
        expect(status).toBe(3);
        expect(output).toContain("sudo usermod -aG docker ada");
    });

    it.skipIf(process.platform !== "linux")("asks the daemon: a client alone is no engine", () => {
        fakeOrdinaryUser();
        fakeDocker({ version: "echo 'Cannot connect to the Docker daemon' >&2; exit 1" });
        const { status, output } = run("docker-engine.sh", ["plan"]);
        expect(status).toBe(3);
        expect(output).toContain("No Docker Engine runs here");
    });

    it.skipIf(process.platform !== "linux")("takes no zombie for a running daemon", async () => {
        // A parent that never collects its child: `exec` makes it another program.
        const parent = spawn("sh", ["-c", "sleep 0 & echo $!; exec sleep 30"]);
        const [output] = await once(parent.stdout, "data");
        const zombie = String(output).trim();
        const status = (pid: unknown) => readFileSync(`/proc/${pid}/status`, "utf8");
        const soon = { timeout: 10_000 };
        await expect.poll(() => status(zombie), soon).toContain("State:\tZ");
        await expect.poll(() => status(parent.pid), soon).toContain("Name:\tsleep");
        const isAlive = (pid: string) =>
            run("docker-engine.sh", ["step", "is_alive", pid, "sleep"]).status === 0;
        expect(isAlive(String(parent.pid))).toBe(true);
        expect(isAlive(zombie)).toBe(false);
        parent.kill();
    });

    it.skipIf(process.platform !== "linux")("installs none where the client asks another machine's", () => {
        fakeDocker({ version: "echo 'no route to host' >&2; exit 1" });
        const { status, output } = run("docker-engine.sh", [], { DOCKER_HOST: "tcp://192.0.2.1:2375" });
        expect(status).toBe(3);
        expect(output).toContain("no route to host");
    });
});

describe.skipIf(process.platform !== "linux")("an engine that trusts its neighbours", () => {
    const old = { version: "echo 26.1.5" };
    const sentence =
        "Docker Engine 26.1.5 lets machines on the same network segment reach the containers' ports";
    const rules = ["-o docker+ ! -i docker+", "-o br-+ ! -i br-+", "--ctorigdst 127.0.0.0/8"];

    /** A firewall that keeps its rules in a file; `ipv6` tells whether Docker has made its chain for IPv6, too. */
    function fakeFirewall(ipv6 = false): void {
        for (const program of ["iptables", "ip6tables"]) {
            const file = join(project, `${program}.rules`);
            const list = program === "iptables" || ipv6 ? "exit 0" : "exit 1";
            fake(
                program,
                `rule="$*"; rule="\${rule#--wait --* DOCKER-USER }"
                case "$*" in
                    *--check*) grep -qsxF -e "$rule" "${file}" ;;
                    *--insert*) printf '%s\\n' "$rule" >>"${file}" ;;
                    *--list*) ${list} ;;
                    *) exit 9 ;;
                esac`,
            );
        }
    }
    const inFirewall = (program = "iptables") => {
        const file = join(project, `${program}.rules`);
        return existsSync(file) ? readFileSync(file, "utf8").trim().split("\n") : [];
    };
    const asRoot = () => fake("id", "echo 0");
    const neighbours = (...args: string[]) =>
        run("docker-neighbours.sh", args, { CARBON_NEIGHBOURS_ROOT: join(project, "root") });

    it("gets the rules once, however often they are added, and no other", () => {
        asRoot();
        fakeFirewall();
        expect(neighbours("check").status).toBe(1);
        expect(neighbours("apply")).toEqual({ status: 0, output: "" });
        expect(neighbours("apply").status).toBe(0);
        expect(neighbours("check").status).toBe(0);
        expect(inFirewall()).toEqual(
            rules.map((rule) => expect.stringMatching(new RegExp(`^.*${escaped(rule)}.* -j DROP$`))),
        );
        expect(inFirewall("ip6tables")).toEqual([]);
    });

    it("gets none where a bridge of the machine's own is named like Docker's, and is not called safe", () => {
        asRoot();
        fakeFirewall();
        for (const bridge of ["br-0123456789ab", "docker0"]) {
            mkdirSync(join(project, "root/sys/class/net", bridge), { recursive: true });
        }
        expect(neighbours("apply").status).toBe(0);
        expect(neighbours("check").status).toBe(0);
        rmSync(join(project, "iptables.rules"));
        mkdirSync(join(project, "root/sys/class/net/br-lan"));
        expect(neighbours("apply").output).toContain("br-lan is a bridge of this machine's own");
        expect(inFirewall()).toEqual([]);
        expect(neighbours("check").status).toBe(1);
    });

    it("gets them for IPv6 where Docker filters it", () => {
        asRoot();
        fakeFirewall(true);
        expect(neighbours("apply").status).toBe(0);
        expect(inFirewall("ip6tables")).toHaveLength(2);
        writeFileSync(join(project, "ip6tables.rules"), "");
        expect(neighbours("check").status).toBe(1);
    });

    it("keeps them over restarts: a copy of root's own, which systemd runs where there is systemd", () => {
        asRoot();
        fakeFirewall();
        fake("systemctl", 'echo "$@" >>"$HOME/systemctl"');
        const installed = join(project, "root/usr/local/sbin/carbon-docker-neighbours");
        const dropIn = join(project, "root/etc/systemd/system/docker.service.d/carbon-neighbours.conf");
        expect(neighbours().status).toBe(0);
        expect(statSync(installed).mode & 0o777).toBe(0o755);
        expect(existsSync(dropIn)).toBe(false);
        mkdirSync(join(project, "root/run/systemd/system"), { recursive: true });
        expect(neighbours().status).toBe(0);
        expect(readFileSync(dropIn, "utf8")).toContain(`[Service]\nExecStartPost=-${installed} apply\n`);
        expect(readFileSync(join(project, "systemctl"), "utf8")).toBe("daemon-reload\n");
        rmSync(join(project, "iptables.rules"));
        execFileSync(installed, ["apply"], { env: { PATH: `${fakes}:/usr/bin:/bin` } });
        expect(inFirewall()).toHaveLength(3);
    });

    it("that set-up did not install is told about, and left as it is", () => {
        asRoot();
        fakeFirewall();
        fakeDocker(old);
        const { status, output } = run("docker-engine.sh", ["advise"]);
        expect(status).toBe(0);
        expect(output).toContain(
            `${sentence}, also those on 127.0.0.1. Upgrade it to 28, or add the rules that docs/troubleshooting.md has.`,
        );
        expect(run("docker-engine.sh").status).toBe(0);
        expect(inFirewall()).toEqual([]);
    });

    it("is told about by `make setup`, until the rules are there", () => {
        asRoot();
        fakeFirewall();
        fakeDocker(old);
        fake("node", "echo v20.19.0");
        fake("npm", "mkdir -p node_modules");
        fake("pulumi", "echo v3.248.0");
        const setup = () => run("setup.sh", [], { CARBON_RETRY: "1" }).output;
        expect(setup()).toContain(sentence);
        neighbours("apply");
        expect(setup()).not.toContain(sentence);
    });

    it.each([
        ["version 28", "28.0.0", "Debian"],
        ["Docker Desktop", "27.0.0", "Docker Desktop"],
        ["a rootless engine", "27.0.0", '["name=rootless"]'],
    ])("is not %s", (_, version, system) => {
        asRoot();
        fakeFirewall();
        fake(
            "docker",
            `case "$1" in version) echo ${version} ;; context) echo default ;; info) echo '${system}' ;; esac`,
        );
        expect(run("docker-engine.sh", ["advise"])).toEqual({ status: 0, output: "" });
    });

    it.each([true, false])(
        "gets the rules at each start, if set-up has installed them: %s",
        (isInstalled) => {
            asRoot();
            fakeFirewall();
            if (isInstalled) {
                neighbours("install");
            }
            fakeDocker(old);
            fake("systemctl", "");
            fake("setsid", "");
            // As the engine has it from set-up; dockerd itself is not to be started.
            const file = join(project, "scripts/docker-engine.sh");
            const text = readFileSync(file, "utf8")
                .replace("NEIGHBOURS_INSTALLED=", `NEIGHBOURS_INSTALLED=${project}/root`)
                .replace(/^has_systemd\(\).*$/m, "has_systemd() { true; }");
            writeFileSync(file, text);
            expect(run("docker-engine.sh", ["step", "start_engine"]).status).toBe(0);
            expect(inFirewall()).toHaveLength(isInstalled ? 3 : 0);
        },
    );
});

const escaped = (text: string) => text.replace(/[+.*]/g, "\\$&");

describe("root-image.sh", () => {
    it("has nothing to do when the image is there", () => {
        fakeDocker();
        expect(run("root-image.sh", ["plan"])).toEqual({ status: 0, output: "" });
        expect(run("root-image.sh")).toEqual({ status: 0, output: "" });
    });

    it("pulls a missing image for exactly the platform asked for", () => {
        fakeDocker({ create: "exit 1", pull: `echo "$@" >> "${project}/pulled"` });
        fake("uname", 'if [ "$1" = -m ]; then echo x86_64; else echo Linux; fi');
        expect(run("root-image.sh", ["native"]).status).toBe(0);
        expect(readFileSync(join(project, "pulled"), "utf8")).toContain("--platform linux/amd64");
    });

    it("says what to do when it can neither pull nor build", () => {
        fakeOrdinaryUser();
        fakeDocker({ create: "exit 1", pull: "echo no such host >&2; exit 1" });
        const { status, output } = run("root-image.sh");
        expect(status).toBe(1);
        expect(output).toContain("no such host");
        expect(output).toContain("docker load");
    });

    it("refuses a platform it does not know", () => {
        const { status, output } = run("root-image.sh", ["linux/riscv64"]);
        expect(status).toBe(2);
        expect(output).toContain("Unknown platform linux/riscv64");
    });
});

describe("node.sh", () => {
    const npm = 'echo "$@" >> "$HOME/npm-calls"; mkdir -p node_modules';
    const npmCalls = () => readFileSync(join(project, "npm-calls"), "utf8").trim().split("\n");

    it("installs the packages once, and again when the lock file changed", () => {
        fake("node", "echo v20.19.0");
        fake("npm", npm);
        expect(run("node.sh", ["plan"]).output).toContain("package-lock.json");
        expect(run("node.sh").status).toBe(0);
        expect(run("node.sh", ["plan"]).output).toBe("");
        expect(run("node.sh").status).toBe(0);
        expect(npmCalls()).toHaveLength(1);
        writeFileSync(join(project, "package-lock.json"), '{"changed": true}');
        expect(run("node.sh").status).toBe(0);
        expect(npmCalls()).toHaveLength(2);
    });

    it("installs again after npm failed", () => {
        fake("node", "echo v20.19.0");
        fake("npm", "exit 1");
        expect(run("node.sh").status).toBe(1);
        expect(run("node.sh", ["plan"]).output).toContain("package-lock.json");
    });

    it("says how to install Node when it is too old", () => {
        fakeOrdinaryUser();
        fake("node", "echo v18.20.4");
        fake("npm", npm);
        const { status, output } = run("node.sh", ["plan"]);
        expect(status).toBe(1);
        expect(output).toContain("Node.js 20.19 or newer");
    });

    it("names the variable to set when npm does not trust a certificate", () => {
        fake("node", "echo v20.19.0");
        fake("npm", "echo 'npm error code SELF_SIGNED_CERT_IN_CHAIN' >&2; exit 1");
        const { status, output } = run("node.sh");
        expect(status).toBe(1);
        expect(output).toContain("NODE_EXTRA_CA_CERTS");
    });

    it("gives Node the CA bundle that other tools find in SSL_CERT_FILE", () => {
        fake("node", "echo v20.19.0");
        fake("npm", 'mkdir -p node_modules; echo "$NODE_EXTRA_CA_CERTS" > "$HOME/bundle"');
        run("node.sh", [], { SSL_CERT_FILE: "/opt/bundle.pem" });
        expect(readFileSync(join(project, "bundle"), "utf8")).toBe("/opt/bundle.pem\n");
    });
});

describe("pulumi-cli.sh", () => {
    const installed = () => join(project, ".carbon/tools/pulumi/bin/pulumi");

    /** A release of the right shape, which the pretended curl "downloads". */
    function fakeRelease(): string {
        mkdirSync(join(project, "release/pulumi"), { recursive: true });
        writeFileSync(join(project, "release/pulumi/pulumi"), "#!/bin/sh\necho v3\n", { mode: 0o755 });
        const archive = join(project, "release.tar.gz");
        execFileSync("tar", ["-czf", archive, "-C", join(project, "release"), "pulumi"]);
        fake("curl", `while [ "$1" != --output ]; do shift; done; cp "${archive}" "$2"`);
        return createHash("sha256").update(readFileSync(archive)).digest("hex");
    }

    function expectChecksum(sha256: string): void {
        const file = join(project, "scripts/pulumi-cli.json");
        const record = JSON.parse(readFileSync(file, "utf8"));
        for (const platform of Object.keys(record.sha256)) {
            record.sha256[platform] = sha256;
        }
        writeFileSync(file, JSON.stringify(record, null, 4));
    }

    it("pins the version of the SDK", () => {
        const { version } = JSON.parse(readFileSync(join(repository, "scripts/pulumi-cli.json"), "utf8"));
        const { dependencies } = JSON.parse(readFileSync(join(repository, "package.json"), "utf8"));
        expect(version).toBe(dependencies["@pulumi/pulumi"]);
    });

    it("installs a release with the recorded checksum, once", () => {
        expectChecksum(fakeRelease());
        expect(run("pulumi-cli.sh").status).toBe(0);
        expect(execFileSync(installed(), { encoding: "utf8" })).toBe("v3\n");
        expect(run("pulumi-cli.sh", ["plan"]).output).toBe("");
    });

    it("refuses a release with another checksum, and goes on with the embedded engine", () => {
        fakeRelease();
        const { status, output } = run("pulumi-cli.sh");
        expect(status).toBe(0);
        expect(output).toContain("checksum");
        expect(output).toContain("embedded engine");
        expect(existsSync(installed())).toBe(false);
    });

    it("does not try an unreachable host again, unless asked to", () => {
        fake("curl", 'echo tried >> "$HOME/tries"; exit 6');
        const tries = () => readFileSync(join(project, "tries"), "utf8").trim().split("\n").length;
        run("pulumi-cli.sh");
        run("pulumi-cli.sh");
        expect(tries()).toBe(1);
        run("pulumi-cli.sh", [], { CARBON_RETRY: "1" });
        expect(tries()).toBe(2);
    });

    it("leaves a CLI on PATH alone", () => {
        fake("pulumi", "echo v3");
        fake("curl", 'echo tried >> "$HOME/tries"');
        expect(run("pulumi-cli.sh", ["plan"]).output).toBe("");
        run("pulumi-cli.sh");
        expect(existsSync(join(project, "tries"))).toBe(false);
    });
});

describe("setup.sh", () => {
    beforeEach(() => {
        fake("node", "echo v20.19.0");
        fake("npm", "mkdir -p node_modules");
        fake("pulumi", "echo v3.248.0");
    });

    it("announces first what it installs, and with nothing missing says one line", () => {
        fakeDocker();
        const first = run("setup.sh");
        expect(first.status).toBe(0);
        expect(first.output).toMatch(/about to be installed:\n {2}- the Node packages.*\nDisk: \d+ GB free/);
        expect(first.output.indexOf("about to be")).toBeLessThan(first.output.indexOf("✓ Installing Node"));
        const second = run("setup.sh");
        expect(second.status).toBe(0);
        expect(second.output).not.toContain("about to be installed");
        expect(second.output).toContain(
            "✓ Set up: Docker Engine 28.5.2 · Node.js v20.19.0 · Pulumi CLI v3.248.0",
        );
    });

    it.skipIf(process.platform !== "linux")(
        "sets up the rest where no engine can be had, with status 3",
        () => {
            fakeOrdinaryUser();
            fakeDocker({ version: "exit 1" });
            const { status, output } = run("setup.sh");
            expect(status).toBe(3);
            expect(output).toContain("✓ Installing Node packages");
            expect(output).toContain("no Docker Engine");
        },
    );

    it("stops at an engine that does not fit", () => {
        fakeDocker({ version: "echo 20.10.24" });
        const { status, output } = run("setup.sh");
        expect(status).toBe(1);
        expect(output).not.toContain("Installing Node packages");
    });
});

describe("Makefile", () => {
    const makefile = readFileSync(join(repository, "Makefile"), "utf8");
    const targets = (/^\.PHONY: (.*)$/m.exec(makefile)?.[1] ?? "").split(" ");
    // As typed in a terminal, not as called by another make.
    const make = (...args: string[]) => {
        const { MAKEFLAGS, MAKELEVEL, MFLAGS, STACK, ...env } = process.env;
        return execFileSync("make", args, { cwd: repository, encoding: "utf8", env });
    };
    const dryRun = (target: string) => make("--dry-run", target, "STACK=blue");

    it("lists every target with a line of help, by default", () => {
        const help = make();
        expect(targets).toContain("up");
        for (const target of targets) {
            expect(help).toMatch(new RegExp(`^make ${target} +\\S.*$`, "m"));
        }
        expect(help).toContain("STACK=name picks the stack (now: dev).");
    });

    it.each(["up", "preview", "status", "drift", "down"])(
        "%s sets up first, and works on STACK",
        (target) => {
            const [first, second] = dryRun(target).trim().split("\n");
            expect(first).toBe("scripts/setup.sh");
            expect(second).toContain(`./carbon ${target} --stack="$STACK"`);
        },
    );

    it("asks nothing in up and down", () => {
        expect(dryRun("up")).toContain("--yes");
        expect(dryRun("down")).toContain("--yes");
        expect(dryRun("down")).not.toContain("--volumes");
    });

    describe("STACK", () => {
        /** Runs a target in the copied project, where every command is pretended and leaves its arguments. */
        const makeThere = (stack: string, by: "argument" | "environment", target: string) => {
            cpSync(join(repository, "Makefile"), join(project, "Makefile"));
            const leave = `#!/bin/sh\nprintf '%s\\n' "$0" "$@" >>"${project}/ran"\n`;
            for (const file of ["carbon", "scripts/setup.sh", "scripts/acceptance.sh"]) {
                writeFileSync(join(project, file), leave, { mode: 0o755 });
            }
            const { MAKEFLAGS, MAKELEVEL, MFLAGS, STACK, ...env } = process.env;
            const assigned = `STACK=${stack}`;
            const result = spawnSync("make", [target, ...(by === "argument" ? [assigned] : [])], {
                cwd: project,
                encoding: "utf8",
                env: { ...env, ...(by === "environment" ? { STACK: stack } : {}) },
            });
            const ran = existsSync(join(project, "ran")) ? readFileSync(join(project, "ran"), "utf8") : "";
            return { status: result.status, said: result.stdout + result.stderr, ran };
        };
        const ways = ["argument", "environment"] as const;
        const attacks = [
            ...[
                "x; touch pwned",
                "x && touch pwned",
                "$(touch pwned)",
                "`touch pwned`",
                "x|touch pwned",
                "x&",
            ],
            ...[
                "$(shell touch pwned)",
                `\${shell touch pwned}`,
                "$$(touch pwned)",
                "$(eval A:=$(shell touch pwned))",
            ],
            ...[
                "x' touch pwned '",
                'x" ; touch pwned; "',
                "x\ntouch pwned",
                "x\n\ttouch pwned",
                "x y",
                " ",
                "x #y",
            ],
            ...[
                "",
                "../x",
                "a/b",
                "é",
                "x>pwned",
                "$(error no)",
                "$(",
                "x\\",
                "),x",
                "*",
                "x=y",
                "\u001b[2J",
            ],
        ];

        it.each(attacks.flatMap((stack) => ways.map((by) => [stack, by] as const)))(
            "%j, by %s, is refused before anything runs",
            (stack, by) => {
                for (const target of ["up", "help", "acceptance"]) {
                    const { status, said, ran } = makeThere(stack, by, target);
                    expect(said).toMatch(
                        /\*\*\* STACK is (no stack name: it has letters, digits|empty: name a stack)/,
                    );
                    expect(status).toBe(2);
                    expect(ran).toBe("");
                    expect(existsSync(join(project, "pwned"))).toBe(false);
                    expect(said).not.toContain("\u001b");
                }
            },
        );

        it.each(ways)("is handed over as it is where it is a name, by %s", (by) => {
            const { status, ran } = makeThere("my_stack-2.B", by, "up");
            expect(status).toBe(0);
            expect(ran).toContain("\nup\n--stack=my_stack-2.B\n--yes\n");
        });

        it.each(["x; touch pwned", "x|y", "$(touch pwned)", "a b", "é", ".*/x"])(
            "%j is refused by acceptance.sh before anything runs",
            (stack) => {
                fakeDocker();
                const { status, output } = run("acceptance.sh", [], { STACK: stack });
                expect(status).toBe(2);
                expect(output).toMatch(/^✗ STACK is no stack name: .*\n$/);
            },
        );
    });
});

describe("the project's folder .carbon", () => {
    const mode = () => statSync(join(project, ".carbon")).mode & 0o777;
    const made: [string, () => unknown][] = [
        ["a step's log", () => withLib("umask 0; run_step x true")],
        ["results", () => withLib(`umask 0; . "${project}/scripts/checks.sh"; start_results t`)],
        ["the Pulumi CLI", () => run("pulumi-cli.sh")],
        ["the set-up", () => run("setup.sh")],
    ];

    beforeEach(() => {
        fakeDocker();
        fake("curl", "exit 6");
        fake("node", "echo v20.19.0");
        fake("npm", "mkdir -p node_modules");
    });

    it.each(made)("is its owner's alone when %s makes it, whatever the umask", (_, make) => {
        const before = process.umask(0);
        make();
        process.umask(before);
        expect(mode()).toBe(0o700);
    });

    it.each(made)("is narrowed by %s where it is wider", (_, make) => {
        mkdirSync(join(project, ".carbon"));
        chmodSync(join(project, ".carbon"), 0o755);
        make();
        expect(mode()).toBe(0o700);
    });
});

describe("test-summary.ts", () => {
    const report = (tests: Partial<Record<string, number>>, testResults: unknown[] = []) =>
        JSON.stringify({
            numPassedTests: 0,
            numFailedTests: 0,
            numPendingTests: 0,
            numTodoTests: 0,
            testResults,
            ...tests,
        });

    it("reads vitest's report", () => {
        const json = report({ numPassedTests: 7, numFailedTests: 1, numPendingTests: 2, numTodoTests: 1 });
        expect(countVitest(json)).toEqual({ passed: 7, failed: 1, skipped: 3 });
    });

    it("counts a test file that cannot be loaded as a failure", () => {
        const json = report({ numPassedTests: 7 }, [{ status: "failed", assertionResults: [] }]);
        expect(countVitest(json).failed).toBe(1);
    });

    it("counts listed tests as skipped", () => {
        expect(countListed('[{"name":"a"},{"name":"b"}]')).toEqual({ passed: 0, failed: 0, skipped: 2 });
    });

    it.each([
        ["Ran 12 tests in 0.1s\n\nOK\n", { passed: 12, failed: 0, skipped: 0 }],
        ["Ran 1 test in 0.1s\n\nOK (skipped=1)\n", { passed: 0, failed: 0, skipped: 1 }],
        [
            "Ran 10 tests in 3.0s\n\nFAILED (failures=1, errors=2, skipped=3)\n",
            { passed: 4, failed: 3, skipped: 3 },
        ],
        [
            "Ran 4 tests in 3.0s\n\nFAILED (unexpected successes=1, expected failures=1)\n",
            { passed: 3, failed: 1, skipped: 0 },
        ],
        ["Traceback (most recent call last):\n", { passed: 0, failed: 0, skipped: 0 }],
    ])("reads unittest's output %j", (output, counts) => {
        expect(countUnittest(output)).toEqual(counts);
    });

    const aRun = (changes: Partial<Run>): Run => ({
        name: "x",
        kind: "check",
        status: 0,
        seconds: 1,
        reason: "",
        ...changes,
    });

    it("counts a runner that crashed without a report as one failure", () => {
        expect(countRun(aRun({ kind: "vitest", status: 1 }), project)).toEqual({
            passed: 0,
            failed: 1,
            skipped: 0,
        });
    });

    it("counts a check by its exit status, and one that could not run as skipped", () => {
        expect(countRun(aRun({ status: 0 }), project)).toEqual({ passed: 1, failed: 0, skipped: 0 });
        expect(countRun(aRun({ status: 2 }), project)).toEqual({ passed: 0, failed: 1, skipped: 0 });
        expect(countRun(aRun({ kind: "skipped-check" }), project)).toEqual({
            passed: 0,
            failed: 0,
            skipped: 1,
        });
    });

    it("reads what the shell recorded", () => {
        expect(
            withLib(`. "${project}/scripts/checks.sh"; start_results t; record unit vitest 1 12`).status,
        ).toBe(0);
        const tsv = readFileSync(join(project, ".carbon/results/t/runs.tsv"), "utf8");
        expect(parseRuns(tsv)).toEqual([aRun({ name: "unit", kind: "vitest", status: 1, seconds: 12 })]);
    });

    it("sums over all runners of all suites, in words that end every suite", () => {
        for (const suite of ["test", "acceptance"]) {
            mkdirSync(join(project, suite));
            writeFileSync(join(project, suite, "runs.tsv"), "unit\tvitest\t0\t3\t\nbiome\tcheck\t0\t1\t\n");
            writeFileSync(
                join(project, suite, "unit.json"),
                report({ numPassedTests: 5, numPendingTests: 2 }),
            );
        }
        const { table, total } = summarize([join(project, "test"), join(project, "acceptance")]);
        expect(table).toContain("acceptance");
        expect(finalLine(total)).toBe("12 passed, 0 failed, 4 skipped");
        expect(finalLine(sum([]))).toBe("0 passed, 0 failed, 0 skipped");
    });

    it("names what failed: a test, a file, a runner", () => {
        const test = (fullName: string, ...failureMessages: string[]) => ({
            fullName,
            status: failureMessages.length > 0 ? "failed" : "passed",
            failureMessages,
        });
        const json = report({ numPassedTests: 1, numFailedTests: 1 }, [
            { name: resolve("a.test.ts"), status: "passed", assertionResults: [test("is well")] },
            {
                name: resolve("b.test.ts"),
                status: "failed",
                assertionResults: [test("is well"), test("is ill", "expected 1 to be 2\n  at b.test.ts:3")],
            },
            { name: resolve("c.test.ts"), status: "failed", message: "no such module", assertionResults: [] },
        ]);
        expect(vitestFailures(json)).toEqual([
            expect.stringMatching(/^b\.test\.ts: is ill\n +expected 1 to be 2\n/),
            "c.test.ts: no such module",
        ]);
        writeFileSync(join(project, "unit.json"), json);
        writeFileSync(
            join(project, "runs.tsv"),
            "unit\tvitest\t1\t3\t\ntsc\tcheck\t2\t3\t\nbiome\tcheck\t0\t1\t\n",
        );
        expect(summarize([project]).failures).toEqual([
            ...vitestFailures(json),
            `tsc: see ${join(project, "tsc.log")}`,
        ]);
    });

    it("prints the sums last, and exits with 1 after a failure", () => {
        writeFileSync(join(project, "runs.tsv"), "tsc\tcheck\t2\t3\t\nbiome\tcheck\t0\t1\t\n");
        const { status, stdout } = spawnSync(
            join(repository, "node_modules/.bin/tsx"),
            [join(repository, "scripts/test-summary.ts"), project],
            { encoding: "utf8" },
        );
        expect(stdout.trim().split("\n").at(-1)).toBe("1 passed, 1 failed, 0 skipped");
        expect(status).toBe(1);
    });
});
