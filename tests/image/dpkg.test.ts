import { execa } from "execa";
import { describe, expect, it } from "vitest";
import { baseImage } from "./base-image";

const image = baseImage();

/** What a shell command prints in the image; its exit status does not matter. */
async function output(command: string): Promise<string> {
    const { stdout } = await execa("docker", ["run", "--rm", "--entrypoint=sh", image, "-c", command], {
        reject: false,
    });
    return stdout;
}

describe("Debian's packages", () => {
    it("are whole by dpkg's own records, though the build left files out", async () => {
        expect(await output("dpkg --verify; dpkg --audit")).toBe("");
    });

    it("that are installed in a container get all of their files", async () => {
        expect(
            await output("grep -rE '^ *path-(exclude|include)' /etc/dpkg; grep -ri path-exclude /etc/apt"),
        ).toBe("");
    });
});
