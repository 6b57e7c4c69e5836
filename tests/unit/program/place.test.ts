import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { gitConfig } from "../../../settings/gitConfig";
import { gitIdentity, type Machine } from "../../../settings/machine";
import { buildProxy, proxyVariables, readProxy } from "../../../settings/proxy";
import { isSubnet } from "../../../settings/subnet";
import { isTimezone, machineTimezone } from "../../../settings/timezone";
import { bareMachine } from "../machine";

describe("the time zone", () => {
    it.each([
        ...[
            "Europe/Berlin",
            "America/Argentina/Buenos_Aires",
            "America/Port-au-Prince",
            "Africa/Dar_es_Salaam",
        ],
        ...[
            "Europe/Isle_of_Man",
            "Antarctica/DumontDUrville",
            "Antarctica/McMurdo",
            "America/North_Dakota/New_Salem",
        ],
        ...[
            "US/Eastern",
            "Asia/Calcutta",
            "Asia/Kolkata",
            "Europe/Kyiv",
            "GB-Eire",
            "NZ-CHAT",
            "W-SU",
            "PRC",
            "Zulu",
        ],
        ...[
            "UTC",
            "GMT",
            "GMT0",
            "Etc/GMT+5",
            "Etc/GMT-14",
            "Etc/UTC",
            "EST",
            "EST5EDT",
            "Navajo",
            "GB",
            "NZ",
        ],
    ])("takes %s for a name", (name) => {
        expect(isTimezone(name)).toBe(true);
    });

    it("takes every name that Node itself lists", () => {
        expect(Intl.supportedValuesOf("timeZone").filter((name) => !isTimezone(name))).toEqual([]);
    });

    // Some of them ICU takes, and no container would know.
    it.each([
        ...[
            "",
            "Berlin",
            "Europe/Atlantis",
            "europe/berlin",
            "Europe/berlin",
            "EUROPE/BERLIN",
            "US/EASTERN",
            "utc",
        ],
        ...["PST", "IST", "CST", "AST", "SystemV/EST5", "+01:00", "UTC+1", "../etc/passwd", "/etc/localtime"],
        ...["Europe/Berlin\n", "Etc/Unknown", "localtime", "America/new_york", "CET-1CEST,M3.5.0,M10.5.0/3"],
    ])("does not take %j", (name) => {
        expect(isTimezone(name)).toBe(false);
    });

    it.each<[string, Partial<Machine>, string]>([
        [
            "TZ",
            { env: { TZ: "Asia/Tokyo" }, realpath: () => "/usr/share/zoneinfo/Europe/Berlin" },
            "Asia/Tokyo",
        ],
        ["TZ as a file", { env: { TZ: ":/usr/share/zoneinfo/Asia/Tokyo" } }, "Asia/Tokyo"],
        ["Linux's link", { realpath: () => "/usr/share/zoneinfo/Europe/Berlin" }, "Europe/Berlin"],
        ["a link into posix", { realpath: () => "/usr/share/zoneinfo/posix/US/Eastern" }, "US/Eastern"],
        [
            "a Mac's link",
            { realpath: () => "/var/db/timezone/zoneinfo/America/New_York" },
            "America/New_York",
        ],
        [
            "a Mac's link, followed",
            { realpath: () => "/private/var/db/timezone/tz/2025b.1.0/zoneinfo/Asia/Kolkata" },
            "Asia/Kolkata",
        ],
        [
            "another Mac's link",
            { realpath: () => "/usr/share/zoneinfo.default/Asia/Kolkata" },
            "Asia/Kolkata",
        ],
        [
            "NixOS's link",
            { realpath: () => "/nix/store/abc-tzdata-2025b/share/zoneinfo/Europe/Oslo" },
            "Europe/Oslo",
        ],
        ["Debian's file", { readFile: () => "Europe/Vienna\n" }, "Europe/Vienna"],
        ["a rule in TZ", { env: { TZ: "CET-1CEST" }, readFile: () => "Europe/Vienna\n" }, "Europe/Vienna"],
        ["nothing", {}, "UTC"],
    ])("follows %s", (_, changes, expected) => {
        expect(machineTimezone({ ...bareMachine, ...changes })).toBe(expected);
    });
});

describe("the address range", () => {
    it.each([
        "10.0.0.0/16",
        "10.255.0.0/16",
        "172.16.0.0/16",
        "172.31.255.240/28",
        "192.168.7.0/24",
        "10.1.2.16/28",
    ])("takes %s", (subnet) => {
        expect(isSubnet(subnet)).toBe(true);
    });

    it.each([
        ...[
            "10.0.0.0/8",
            "10.0.0.0/15",
            "10.0.0.0/29",
            "10.0.0.1/24",
            "172.32.0.0/16",
            "172.15.0.0/16",
            "192.169.0.0/24",
        ],
        ...[
            "8.8.8.0/24",
            "127.0.0.0/16",
            "10.0.0.0",
            "10.0.0/24",
            "10.0.0.256/28",
            "010.0.0.0/16",
            "fd00::/64",
            "",
        ],
        ...["10.0.0.0/016", "10.0.0.0/24 "],
    ])("does not take %j", (subnet) => {
        expect(isSubnet(subnet)).toBe(false);
    });
});

describe("the proxy", () => {
    const found = (changes: Partial<Machine>, setting = "auto") =>
        readProxy(setting, { ...bareMachine, ...changes });
    const dockers = (proxies: unknown) => ({
        readFile: (file: string) =>
            file === "/home/ada/.docker/config.json" ? JSON.stringify({ proxies }) : undefined,
    });

    it("is that of the environment, in either case", () => {
        expect(found({ env: { HTTPS_PROXY: "http://p:1", no_proxy: "corp" } })).toEqual({
            https: "http://p:1",
            no: "corp",
        });
        expect(found({ env: { http_proxy: "http://lower:1", HTTP_PROXY: "http://upper:1" } })?.http).toBe(
            "http://lower:1",
        );
        expect(found({ env: { ALL_PROXY: "socks5h://p:1080" } })?.all).toBe("socks5h://p:1080");
    });

    it("is else that of Docker's configuration, wherever that lies", () => {
        const proxies = { default: { httpProxy: "http://d:1", httpsProxy: "http://d:2", noProxy: "*.corp" } };
        const expected = { http: "http://d:1", https: "http://d:2", no: "*.corp", isDockers: true };
        expect(found(dockers(proxies))).toEqual(expected);
        expect(found({ ...dockers(proxies), env: { HTTP_PROXY: "http://e:1" } })).toEqual({
            http: "http://e:1",
        });
        expect(
            found({
                env: { DOCKER_CONFIG: "/d" },
                readFile: (file) => (file === "/d/config.json" ? JSON.stringify({ proxies }) : undefined),
            }),
        ).toEqual(expected);
        for (const broken of [undefined, {}, { default: null }, { default: { httpProxy: 7 } }]) {
            expect(found(dockers(broken))).toBeUndefined();
        }
        expect(found({ readFile: () => "{" })).toBeUndefined();
    });

    it("is none where there is none, or where none is wanted", () => {
        expect(found({})).toBeUndefined();
        expect(found({ env: { NO_PROXY: "corp" } })).toBeUndefined();
        expect(found({ env: { HTTP_PROXY: "http://p:1" } }, "none")).toBeUndefined();
    });

    it("is the setting's own, with what the machine says is reached without one", () => {
        const env = { HTTP_PROXY: "http://p:1", NO_PROXY: "corp" };
        expect(found({ env }, "http://q:2")).toEqual({ http: "http://q:2", https: "http://q:2", no: "corp" });
    });

    it("has its variables in both cases, with the suite's own names left out of it", () => {
        expect(
            proxyVariables({ http: "http://p:1", no: "corp, .lan workspace" }, ["workspace", "redis"]),
        ).toEqual({
            HTTP_PROXY: "http://p:1",
            http_proxy: "http://p:1",
            NO_PROXY: "corp,.lan,workspace,redis",
            no_proxy: "corp,.lan,workspace,redis",
        });
        expect(proxyVariables({ http: "http://p:1", no: "*" }, ["redis"]).no_proxy).toBe("*");
        expect(proxyVariables(undefined, ["redis"])).toEqual({});
    });

    it.each([
        ["http://127.0.0.1:3128", "http://host.docker.internal:3128"],
        ["http://localhost:3128/", "http://host.docker.internal:3128/"],
        ["http://u:p@127.0.0.2:1", "http://u:p@host.docker.internal:1"],
        ["http://[::1]:3128", "http://host.docker.internal:3128"],
        ["localhost:3128", "host.docker.internal:3128"],
        ["http://localhost.corp:1", "http://localhost.corp:1"],
        ["http://127.0.0.1.corp:1", "http://127.0.0.1.corp:1"],
        ["http://127:localhost@p:1", "http://127:localhost@p:1"],
    ])("is named for containers, where it lies on the machine itself: %s", (http, expected) => {
        expect(proxyVariables({ http }, []).http_proxy).toBe(expected);
    });

    it("is handed to builds where no command line would show a password and they can reach it", () => {
        expect(buildProxy({ http: "http://p:1", https: "http://u:secret@p:1", no: "corp" })).toEqual({
            HTTP_PROXY: "http://p:1",
            NO_PROXY: "corp",
        });
        for (const http of [
            "http://u:secret@p:1",
            "u:secret@p:1",
            "http://token@p:1",
            "http://127.0.0.1:1",
        ]) {
            expect(buildProxy({ http, no: "corp" })).toEqual({});
        }
        expect(buildProxy({ http: "http://p:1", isDockers: true })).toEqual({});
        expect(buildProxy(undefined)).toEqual({});
    });
});

describe("who signs in git", () => {
    let folder: string;
    const read = (text: string, key: string) => {
        const file = join(folder, "gitconfig");
        writeFileSync(file, text);
        return execFileSync("git", ["config", "--file", file, "--null", "--get", key], { encoding: "utf8" });
    };

    beforeEach(() => {
        folder = mkdtempSync(join(tmpdir(), "carbon-git-"));
    });
    afterEach(() => rmSync(folder, { recursive: true }));

    it.each([
        ...[
            "Ada Lovelace",
            "Zoë O'Brien-李",
            `"quoted" \\ back\\slash`,
            "# no comment ; either",
            "  blanks  ",
            "a=b",
        ],
        ...['x"\n[core]\n\tpager = touch /tmp/owned', "two\nlines", "$(id) `id`", "\\n"],
    ])("reads back as it was: %j", (name) => {
        const text = gitConfig({ name, email: "ada@example.com" }) ?? "";
        expect(read(text, "user.name")).toBe(`${name}\0`);
        expect(read(text, "user.email")).toBe("ada@example.com\0");
        expect(() => read(text, "core.pager")).toThrow();
    });

    it("is without what git cannot hold", () => {
        expect(read(gitConfig({ name: "a\u0000b\u0007c" }) ?? "", "user.name")).toBe("a b c\0");
    });

    it("is nobody where nobody is set", () => {
        expect(gitConfig()).toBeUndefined();
        expect(gitConfig({ name: "", email: undefined })).toBeUndefined();
        expect(gitConfig({ email: "ada@example.com" })).toBe('[user]\n\temail = "ada@example.com"\n');
    });

    it("is asked of git, with the files that its configuration includes", () => {
        const { GIT_CONFIG_GLOBAL: before } = process.env;
        writeFileSync(join(folder, "more"), "[user]\n\temail = ada@work.example\n");
        writeFileSync(join(folder, "global"), "[user]\n\tname = Ada\n[include]\n\tpath = more\n");
        process.env.GIT_CONFIG_GLOBAL = join(folder, "global");
        try {
            expect(gitIdentity()).toEqual({ name: "Ada", email: "ada@work.example" });
            process.env.GIT_CONFIG_GLOBAL = "/dev/null";
            expect(gitIdentity()).toEqual({ name: undefined, email: undefined });
        } finally {
            process.env.GIT_CONFIG_GLOBAL = before;
            if (before === undefined) {
                delete process.env.GIT_CONFIG_GLOBAL;
            }
        }
    });
});
