import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";

const place = join(__dirname, "../../../dockerfiles/base/rootfs/always/usr/local/lib/carbon/place.sh");

let folder: string;
beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "carbon-groups-"));
    mkdirSync(join(folder, "dri"));
    writeFileSync(join(folder, "calls"), "");
    // The devices are links to one that everybody has; what they are is up to this.
    program(
        "stat",
        'for last; do :; done; case $1 in *%a) key=mode ;; *) key=group ;; esac; cat "$last.$key"',
    );
    program("getent", "case $2 in 0) echo root:x:0: ;; 44) echo video:x:44: ;; esac");
    for (const name of ["groupadd", "usermod"]) {
        program(name, `echo "${name} $*" >> "${folder}/calls"`);
    }
});
afterEach(() => rmSync(folder, { recursive: true }));

function program(name: string, body: string): void {
    mkdirSync(join(folder, "bin"), { recursive: true });
    writeFileSync(join(folder, "bin", name), `#!/bin/bash\n${body}\n`, { mode: 0o755 });
}

function device(name: string, mode: string, group: number): void {
    const file = join(folder, "dri", name);
    symlinkSync("/dev/null", file);
    writeFileSync(`${file}.mode`, `0${mode}\n`);
    writeFileSync(`${file}.group`, `${group}\n`);
}

/** What the start of a container calls for the devices. */
function joined(): string[] {
    execFileSync(
        "bash",
        ["-euo", "pipefail", "-c", '. "$1"; join_device_groups "$2"', "-", place, join(folder, "dri")],
        {
            env: { ...process.env, PATH: `${join(folder, "bin")}:${process.env.PATH}` },
            stdio: ["ignore", "pipe", "ignore"],
        },
    );
    return readFileSync(join(folder, "calls"), "utf8").split("\n").filter(Boolean);
}

it("carbon joins the groups of the devices, which are made where the image has none of that number", () => {
    device("card0", "660", 44);
    device("renderD128", "660", 992);
    expect(joined()).toEqual([
        "usermod --append --groups video carbon",
        "groupadd --gid 992 gpu-992",
        "usermod --append --groups gpu-992 carbon",
    ]);
});

it("joins none for a device that everybody may open, nor root's", () => {
    device("renderD128", "666", 992);
    device("card0", "660", 0);
    expect(joined()).toEqual([]);
});

it("does nothing where no device is passed in", () => {
    expect(joined()).toEqual([]);
});
