import { chmodSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { fake, fakeDocker, fakeOrdinaryUser, project, run, withLib } from "./harness";

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

    it("leaves an engine as it is that does not fit: `carbon doctor` says so", () => {
        fakeDocker({ version: "echo 20.10.24" });
        expect(run("setup.sh")).toMatchObject({ status: 0 });
    });
});

describe("the project's folder .carbon", () => {
    const mode = () => statSync(join(project, ".carbon")).mode & 0o777;
    const made: [string, () => unknown][] = [
        ["a step's log", () => withLib("umask 0; run_step x true")],
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
