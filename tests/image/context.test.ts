import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { execa, execaSync } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { junk } from "../junk";

const repository = path.join(__dirname, "..", "..");
const project = mkdtempSync(path.join(tmpdir(), "carbon-context-"));

/** What BuildKit, as docker buildx has it, takes of the context of an image's build. */
async function context(image: string): Promise<string[]> {
    const dockerfile = path.join(project, `dockerfiles/${image}/Dockerfile`);
    writeFileSync(dockerfile, "FROM scratch\nCOPY . /\n");
    const out = path.join(project, `../${path.basename(project)}-${image}.tar`);
    try {
        const output = `--output=type=tar,dest=${out}`;
        await execa("docker", ["buildx", "build", "--quiet", `--file=${dockerfile}`, output, project]);
        const { stdout } = await execa("tar", ["--list", "--file", out]);
        return stdout.split("\n").sort();
    } finally {
        rmSync(out, { force: true });
    }
}

beforeAll(() => {
    const { stdout } = execaSync("git", ["ls-files", "-z", "dockerfiles", "verify"], { cwd: repository });
    for (const file of stdout.split("\0").filter(Boolean)) {
        cpSync(path.join(repository, file), path.join(project, file));
    }
});

afterAll(() => rmSync(project, { recursive: true }), 60_000);

describe("the context of a build", () => {
    it("has nothing in it that file managers, editors and tools leave behind", async () => {
        const contexts = () => Promise.all(["base", "compute"].map(context));
        const before = await contexts();
        expect(before[0]).toContain("verify/run.py");
        const folders = readdirSync(project, { recursive: true, withFileTypes: true })
            .filter((entry) => entry.isDirectory())
            .map((entry) => path.join(entry.parentPath, entry.name));
        // In each folder a few of them, so that all have their turn.
        for (const [index, left] of [
            ...junk,
            ...folders.map((_, i) => junk[i % junk.length] ?? ""),
        ].entries()) {
            const file = path.join(folders[index % folders.length] ?? "", left);
            mkdirSync(path.dirname(file), { recursive: true });
            writeFileSync(file, "left behind");
        }
        expect(await contexts()).toEqual(before);
    });
});
