import { describe, expect, it } from "vitest";
import { fake, withLib } from "./harness";

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
