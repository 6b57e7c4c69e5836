import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { fake, fakeDocker, fakeOrdinaryUser, project, run } from "./harness";

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
