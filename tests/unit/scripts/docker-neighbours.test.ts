import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { fake, fakeDocker, fakes, project, run } from "./harness";

describe.skipIf(process.platform !== "linux")("an engine that trusts its neighbours", () => {
    const old = { version: "echo 26.1.5" };
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
        run("../host/docker-neighbours.sh", args, { CARBON_NEIGHBOURS_ROOT: join(project, "root") });

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
