import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { goFileMode, hashBuildContext } from "../../src/drivers/context-hash";
import { copySample, sampleResources } from "./sample";

const made: string[] = [];

/** A folder with these files; a name's content is its text. */
function folder(files: Record<string, string>): string {
    const root = mkdtempSync(join(tmpdir(), "context-"));
    made.push(root);
    for (const [name, content] of Object.entries({ Dockerfile: "FROM scratch\n", ...files })) {
        const path = join(root, name);
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(path, content);
        chmodSync(path, 0o644);
    }
    return root;
}

const hash = (root: string) => hashBuildContext(root, join(root, "Dockerfile"));

afterEach(() => {
    for (const root of made.splice(0)) {
        rmSync(root, { recursive: true });
    }
});

describe("the build context's hash", () => {
    it("is the one that the real provider recorded", () => {
        const { projectDir, remove } = copySample();
        const image = sampleResources().find((r) => r.type === "docker-build:index:Image");
        const context = join(projectDir, "ctx");
        expect(image?.outputs).toMatchObject({
            contextHash: hashBuildContext(context, join(context, "Dockerfile")),
        });
        remove();
    });

    it("changes with a file's content, name and mode", () => {
        const root = folder({ "a.txt": "a" });
        const before = hash(root);
        expect(hash(folder({ "a.txt": "b" }))).not.toBe(before);
        expect(hash(folder({ "b.txt": "a" }))).not.toBe(before);
        chmodSync(join(root, "a.txt"), 0o755);
        expect(hash(root)).not.toBe(before);
    });

    it("walks folders where their name falls, as Go does", () => {
        // By path "a-b" comes before "a/c"; by name the folder "a" comes before "a-b".
        const mode = "-rw-r--r--";
        const dockerfile = "FROM scratch\n";
        const bytes = `${dockerfile}${dockerfile}Dockerfile${mode}1a/c${mode}2a-b${mode}`;
        const expected = createHash("sha256").update(bytes).digest("hex");
        expect(hash(folder({ "a/c": "1", "a-b": "2" }))).toBe(expected);
    });

    it("prefers the Dockerfile's own ignore file to the context's", () => {
        const without = hash(folder({ ".dockerignore": "junk\n", "Dockerfile.dockerignore": "*\n" }));
        const withJunk = hash(
            folder({ ".dockerignore": "junk\n", "Dockerfile.dockerignore": "*\n", junk: "x" }),
        );
        const withOther = hash(
            folder({ ".dockerignore": "junk\n", "Dockerfile.dockerignore": "*\n", other: "x" }),
        );
        expect([withJunk, withOther]).toEqual([without, without]);
    });

    it("lets in what an ignore file excepts, also deep inside an ignored folder", () => {
        const ignore = { ".dockerignore": "*\n!images/base/**\n" };
        const plain = hash(folder({ ...ignore, "images/base/deep/file": "1", "images/other/file": "1" }));
        const outside = hash(folder({ ...ignore, "images/base/deep/file": "1", "images/other/file": "2" }));
        const inside = hash(folder({ ...ignore, "images/base/deep/file": "2", "images/other/file": "1" }));
        expect(outside).toBe(plain);
        expect(inside).not.toBe(plain);
    });

    it("follows links to files and skips links to folders", () => {
        const root = folder({ "target.txt": "1", "dir/file": "1" });
        const before = hash(root);
        symlinkSync("dir", join(root, "to-dir"));
        expect(hash(root)).toBe(before);
        symlinkSync("target.txt", join(root, "to-file"));
        expect(hash(root)).not.toBe(before);
    });

    it.each([
        [0o100644, false, "-rw-r--r--"],
        [0o104755, false, "urwxr-xr-x"],
        [0o101777, false, "trwxrwxrwx"],
        [0o120777, true, "Lrwxrwxrwx"],
    ])("writes the mode %o as Go does", (mode, isLink, expected) => {
        expect(goFileMode({ mode, isSymbolicLink: () => isLink })).toBe(expected);
    });
});
