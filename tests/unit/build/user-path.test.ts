import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const dockerfiles = join(__dirname, "../../../dockerfiles");

it("the images' PATH has the folders of user-environment.sh, the image's first", () => {
    const script = join(dockerfiles, "base/rootfs/always/usr/local/lib/carbon/user-environment.sh");
    const print = '. "$1"; printf "%s:%s" "$carbon_image_folders" "$carbon_user_folders"';
    const wanted = execFileSync("sh", ["-c", print, "sh", script], { encoding: "utf8" });
    const declared = ["base", "compute"].flatMap((image) =>
        readFileSync(join(dockerfiles, image, "Dockerfile"), "utf8").match(/(?<=^ENV PATH=).*$/gm),
    );
    expect(declared.filter(Boolean)).toEqual([wanted]);
});
