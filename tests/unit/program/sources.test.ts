import { execFileSync } from "node:child_process";
import {
    chmodSync,
    cpSync,
    mkdirSync,
    mkdtempSync,
    readdirSync,
    readFileSync,
    renameSync,
    rmSync,
    symlinkSync,
    utimesSync,
    writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { suiteImages } from "../../../catalogue/images";
import { sourceHash } from "../../../catalogue/sources";
import { junk } from "../../junk";

const repository = path.resolve(__dirname, "../../..");
const dockerfiles = path.join(repository, "dockerfiles");
let project: string;

function put(file: string, content = file): void {
    mkdirSync(path.dirname(path.join(project, file)), { recursive: true });
    writeFileSync(path.join(project, file), content);
}

beforeEach(() => {
    project = mkdtempSync(path.join(tmpdir(), "carbon-sources-"));
    put("dockerfiles/base/Dockerfile");
    put(
        "dockerfiles/base/Dockerfile.dockerignore",
        "**\n!dockerfiles/base/rootfs\n!locks/*.lock\n**/__pycache__\n",
    );
    put("dockerfiles/base/rootfs/etc/motd");
    put("locks/one.lock");
    put("locks/one.in");
});

afterEach(() => rmSync(project, { recursive: true }), 60_000);

/** True where the image's sources are others after the change. */
function changes(change: () => void): boolean {
    const before = sourceHash("base", project);
    change();
    return sourceHash("base", project) !== before;
}

describe("the hash of an image's sources", () => {
    it("changes with a file, its name, its being a program and a link's target", () => {
        const file = path.join(project, "dockerfiles/base/rootfs/etc/motd");
        expect(changes(() => put("dockerfiles/base/rootfs/etc/motd", "changed"))).toBe(true);
        expect(changes(() => renameSync(file, `${file}.d`))).toBe(true);
        expect(changes(() => chmodSync(`${file}.d`, 0o755))).toBe(true);
        expect(changes(() => symlinkSync("motd.d", file))).toBe(true);
        expect(changes(() => put("dockerfiles/base/Dockerfile", "FROM scratch"))).toBe(true);
        expect(changes(() => put("locks/two.lock"))).toBe(true);
    });

    it("stays with what the image is not built from, and what differs between machines", () => {
        const file = path.join(project, "dockerfiles/base/rootfs/etc/motd");
        expect(changes(() => put("README.md"))).toBe(false);
        expect(changes(() => put("locks/one.in", "changed"))).toBe(false);
        expect(changes(() => put("dockerfiles/base/rootfs/__pycache__/a.pyc"))).toBe(false);
        expect(changes(() => chmodSync(file, 0o600))).toBe(false);
        expect(changes(() => utimesSync(file, 1, 1))).toBe(false);
    });

    it.each(["base", "compute"])("lets nothing into %s that tools leave behind", (image) => {
        const ignore = readFileSync(path.join(dockerfiles, image, "Dockerfile.dockerignore"), "utf8");
        put("dockerfiles/base/Dockerfile.dockerignore", ignore);
        const folders = [`dockerfiles/${image}/rootfs`, `dockerfiles/${image}/build`];
        for (const folder of folders) {
            expect(changes(() => put(`${folder}/always/file`))).toBe(true);
            for (const left of junk) {
                expect(
                    changes(() => put(`${folder}/always/${left}`)),
                    left,
                ).toBe(false);
            }
        }
    });

    it("lets nothing of the kind into either image from any folder of their contexts", () => {
        const tracked = execFileSync("git", ["ls-files", "-z", "dockerfiles", "verify"], { cwd: repository });
        for (const file of String(tracked).split("\0").filter(Boolean)) {
            cpSync(path.join(repository, file), path.join(project, file), { recursive: true });
        }
        const hashes = () => ["base", "compute"].map((image) => sourceHash(image, project));
        const before = hashes();
        const folders = readdirSync(project, { recursive: true, withFileTypes: true })
            .filter((entry) => entry.isDirectory())
            .map((entry) => path.relative(project, path.join(entry.parentPath, entry.name)));
        expect(folders.length).toBeGreaterThan(100);
        for (const folder of ["", ...folders]) {
            for (const left of junk) {
                put(path.join(folder, left), "left behind");
            }
        }
        expect(hashes()).toEqual(before);
        put("dockerfiles/build/something");
        expect(hashes().filter((hash) => before.includes(hash))).toEqual([]);
    }, 60_000);

    it("gives another tag to the image, and to what is built on it", () => {
        const choice = {
            rootImage: "debian",
            imagePrefix: "ghcr.io/me",
            platforms: [],
            compute: true,
            toolsets: [],
            torchIndex: "auto",
            images: "build" as const,
            pulledImages: {},
        };
        const tags = (changed?: string) =>
            Object.values(suiteImages(choice, (folder) => (folder === changed ? "new" : "old"))).map(
                ({ tag }) => tag,
            );
        const [base, compute] = tags();
        expect(tags("compute")).toEqual([base, expect.not.stringMatching(String(compute))]);
        const [otherBase, otherCompute] = tags("base");
        expect([otherBase, otherCompute]).not.toContain(base);
        expect([otherBase, otherCompute]).not.toContain(compute);
    });
});
