import {
    chmodSync,
    copyFileSync,
    mkdirSync,
    mkdtempSync,
    readFileSync,
    rmSync,
    statSync,
    symlinkSync,
    writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const root = join(__dirname, "..", "..", "..");
const nodeFolder = dirname(process.execPath);

let folder: string;
beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "carbon-command-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Runs the executable with nothing on PATH but the system's tools and `more`. */
function carbon(file: string, more: string = nodeFolder) {
    const env = { PATH: [more, "/bin", "/usr/bin"].join(delimiter) };
    return execa(file, ["--version"], { cwd: "/", env, extendEnv: false, reject: false });
}

/** A folder for PATH that holds these tools and no Node. */
function pathWithoutNode(): string {
    const bin = join(folder, "bin");
    mkdirSync(bin);
    for (const tool of ["dirname", "readlink"]) {
        symlinkSync(
            ["/usr/bin", "/bin"].map((place) => join(place, tool)).find(exists) ?? "",
            join(bin, tool),
        );
    }
    return bin;
}

/** A copy of what starts the command, in a clone in which nothing is set up. */
function bareClone(): string {
    mkdirSync(join(folder, "cli"));
    copyFileSync(join(root, "carbon"), join(folder, "carbon"));
    for (const name of ["carbon.js", "bundle.js"]) {
        copyFileSync(join(root, "cli", name), join(folder, "cli", name));
    }
    return join(folder, "carbon");
}

function exists(file: string): boolean {
    return statSync(file, { throwIfNoEntry: false }) !== undefined;
}

describe("the executable", () => {
    it("works from any folder", async () => {
        expect(await carbon(join(root, "carbon"))).toMatchObject({ exitCode: 0, stdout: "0.1.0" });
    });

    it("works through links, one of them relative, and in a folder with a blank", async () => {
        const bin = join(folder, "my bin");
        mkdirSync(bin);
        symlinkSync(join(root, "carbon"), join(bin, "first"));
        symlinkSync("my bin/first", join(folder, "second"));
        expect(await carbon(join(folder, "second"))).toMatchObject({ exitCode: 0, stdout: "0.1.0" });
    });

    it("says in one sentence that the Node packages are missing", async () => {
        expect(await carbon(bareClone())).toMatchObject({
            exitCode: 1,
            stdout: "",
            stderr: "error: The Node packages are not installed. Type: make setup",
        });
    });

    it("says in one sentence that Node is missing", async () => {
        const env = { PATH: pathWithoutNode() };
        const result = await execa(bareClone(), [], { env, extendEnv: false, reject: false });
        expect(result).toMatchObject({
            exitCode: 1,
            stderr: "error: Node.js is not installed. Type: make setup",
        });
    });

    it("runs on the Node that set-up has brought, before any other", async () => {
        const clone = bareClone();
        const bin = join(folder, ".carbon/tools/node/bin");
        mkdirSync(bin, { recursive: true });
        writeFileSync(join(bin, "node"), '#!/bin/sh\necho "$(command -v node)"\n', { mode: 0o755 });
        expect((await carbon(clone)).stdout).toBe(join(bin, "node"));
    });

    it("says in one sentence that Node is too old", async () => {
        const older =
            'Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.18.3" } });';
        writeFileSync(join(folder, "older.js"), older);
        writeFileSync(
            join(folder, "node"),
            `#!/bin/sh\nexec '${process.execPath}' --require '${join(folder, "older.js")}' "$@"\n`,
        );
        chmodSync(join(folder, "node"), 0o755);
        expect(await carbon(bareClone(), folder)).toMatchObject({
            exitCode: 1,
            stderr: "error: Node.js 20.18.3 is too old. Type: make setup",
        });
    });

    describe("joins its modules", () => {
        const clone = () => {
            const file = bareClone();
            symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
            writeFileSync(
                join(folder, "cli", "main.ts"),
                'import { word } from "./word";\nconsole.log(word, __dirname);\n',
            );
            say("one");
            return file;
        };
        const say = (word: string) =>
            writeFileSync(join(folder, "cli", "word.ts"), `export const word: string = "${word}";\n`);
        const joined = () => join(folder, ".carbon", "cache", "carbon.js");

        it("once, and anew when one has changed", async () => {
            const file = clone();
            expect((await carbon(file)).stdout).toBe(`one ${join(folder, "cli")}`);
            const { mtimeMs, mode } = statSync(joined());
            expect(mode & 0o777).toBe(0o600);
            expect((await carbon(file)).stdout).toBe(`one ${join(folder, "cli")}`);
            expect(statSync(joined()).mtimeMs).toBe(mtimeMs);
            say("another");
            expect((await carbon(file)).stdout).toBe(`another ${join(folder, "cli")}`);
        });

        it("anew where what was kept is cut short", async () => {
            const file = clone();
            await carbon(file);
            const whole = readFileSync(joined(), "utf8");
            for (const length of [0, 40, whole.length - 40]) {
                writeFileSync(joined(), whole.slice(0, length));
                expect((await carbon(file)).stdout).toBe(`one ${join(folder, "cli")}`);
            }
        });

        it("also where nothing can be kept", async () => {
            const file = clone();
            writeFileSync(join(folder, ".carbon"), "");
            expect((await carbon(file)).stdout).toBe(`one ${join(folder, "cli")}`);
        });
    });

    // Outside the clone that runs a stranger's package of the same name.
    it("is what every text of the project tells people to type, and not npm's runner", async () => {
        const words = ["npx", "carbon"].join(" ");
        const search = await execa(
            "git",
            ["grep", "--untracked", "-I", "--fixed-strings", "--line-number", words],
            {
                cwd: root,
                reject: false,
            },
        );
        expect(search).toMatchObject({ exitCode: 1, stdout: "" });
    });
});
