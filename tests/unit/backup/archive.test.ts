import {
    appendFileSync,
    mkdtempSync,
    readFileSync,
    rmSync,
    statSync,
    truncateSync,
    writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Encrypter } from "age-encryption";
import { pack } from "tar-stream";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readArchive, type Source, writeArchive } from "../../../cli/backup/archive";
import { backupSchema, type Manifest } from "../../../cli/backup/manifest";

const passphrase = "correct horse";
/** Scrypt's real work takes a second each time. */
const quick = { passphrase, workFactor: 1 };
const megabyte = 1024 * 1024;

let folder: string;
let whole: string;

beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "carbon-archive-"));
    whole = join(folder, "whole.age");
    await writeArchive(whole, contents(["settings", small], ["home", large]), quick);
});
afterAll(() => rmSync(folder, { recursive: true }));

const small = Buffer.from("config:\n  carbon:uid: 501\n");
/** Three pieces, of which the last is not full. */
const large = Buffer.alloc(9 * megabyte, "0123456789abcdef, and so on ");

function manifestOf(names: string[]): Manifest {
    return {
        schema: backupSchema,
        stack: "dev",
        created: "2026-01-01T00:00:00.000Z",
        versions: { suite: "0.1.0", containers: {} },
        parts: names.map((name) => ({ name, kind: "volume", bytes: 0 })),
    };
}

function contents(...parts: [string, Buffer][]) {
    const sources: Source[] = parts.map(([name, content]) => ({
        name,
        async *open() {
            // As Docker's stream comes: in chunks of no size in particular.
            for (let at = 0; at < content.length; at += 700_001) {
                yield content.subarray(at, at + 700_001);
            }
        },
    }));
    return { manifest: manifestOf(parts.map(([name]) => name)), sources };
}

let number = 0;
/** A file that differs from the whole one. */
function changed(change: (bytes: Buffer) => Buffer): string {
    const file = join(folder, `changed-${number++}.age`);
    writeFileSync(file, change(readFileSync(whole)));
    return file;
}

/** An age file with these entries. */
async function encrypted(entries: [string, string][]): Promise<string> {
    const tar = pack();
    for (const [name, content] of entries) {
        tar.entry({ name }, content);
    }
    tar.finalize();
    const chunks: Buffer[] = [];
    for await (const chunk of tar) {
        chunks.push(chunk as Buffer);
    }
    const encrypter = new Encrypter();
    encrypter.setScryptWorkFactor(1);
    encrypter.setPassphrase(passphrase);
    const file = join(folder, `made-${number++}.age`);
    writeFileSync(file, await encrypter.encrypt(new Uint8Array(Buffer.concat(chunks))));
    return file;
}

describe("a backup", () => {
    it("gives back what was put in, part by part", async () => {
        const read: Record<string, Buffer[]> = {};
        const { manifest, checksums } = await readArchive(whole, quick, {
            onPiece: (part, piece) => {
                read[part] = [...(read[part] ?? []), piece];
            },
        });
        expect(manifest).toEqual(manifestOf(["settings", "home"]));
        expect(Buffer.concat(read.settings ?? [])).toEqual(small);
        expect(Buffer.concat(read.home ?? []).equals(large)).toBe(true);
        expect(checksums.home?.bytes).toBe(large.length);
    });

    it("is for its owner alone, whatever the umask", () => {
        expect(statSync(whole).mode & 0o777).toBe(0o600);
    });

    it("holds nothing in clear but that it is an age file with a passphrase", () => {
        const bytes = readFileSync(whole, "latin1");
        expect(bytes.startsWith("age-encryption.org/v1\n-> scrypt ")).toBe(true);
        expect(bytes).not.toContain("manifest");
        expect(bytes).not.toContain("0123456789abcdef");
    });

    it("is not written over what is there", async () => {
        await expect(writeArchive(whole, contents(["home", small]), quick)).rejects.toThrow("EEXIST");
        await expect(readArchive(whole, quick)).resolves.toBeTruthy();
    });

    it("says why a part could not be had, and not that the file was cut off", async () => {
        const broken: Source = {
            name: "home",
            // biome-ignore lint/correctness/useYield: it fails before
            async *open() {
                throw new Error("tar: ./x: Cannot open");
            },
        };
        const writing = writeArchive(
            join(folder, "broken.age"),
            { manifest: manifestOf(["home"]), sources: [broken] },
            quick,
        );
        await expect(writing).rejects.toThrow("Cannot open");
    });
});

describe("a backup that is refused", () => {
    it("has another passphrase", async () => {
        const reading = readArchive(whole, { ...quick, passphrase: "another" });
        await expect(reading).rejects.toThrow(`The passphrase does not open ${whole}`);
    });

    it("is no age file", async () => {
        const file = join(folder, "foreign");
        for (const text of ["", "PK\x03\x04", "age-encryption.org/v2\n-> scrypt"]) {
            writeFileSync(file, text);
            await expect(readArchive(file, quick)).rejects.toThrow("is no backup that");
        }
    });

    it("is not there", async () => {
        await expect(readArchive(join(folder, "absent"), quick)).rejects.toThrow("cannot be read: ENOENT");
    });

    it("is changed in one byte, wherever that is", async () => {
        const { length } = readFileSync(whole);
        // The header with the salt and the key, the first chunk, the middle, the last chunk and the last tag.
        const places = [
            0,
            25,
            40,
            60,
            80,
            100,
            120,
            140,
            160,
            180,
            300,
            65_536,
            length >> 1,
            length - 17,
            length - 1,
        ];
        for (const place of places) {
            const file = changed((bytes) => {
                bytes[place] = (bytes[place] ?? 0) ^ 1;
                return bytes;
            });
            const pieces: Buffer[] = [];
            const reading = readArchive(file, quick, { onPiece: (_, piece) => void pieces.push(piece) });
            await expect(reading, `byte ${place}`).rejects.toThrow(/Nothing was changed/);
            rmSync(file);
        }
    });

    it("is cut short, wherever that is", async () => {
        const { length } = readFileSync(whole);
        const header = readFileSync(whole, "latin1").indexOf("\n--- ") + 1 + "--- ".length + 43 + 1;
        const chunk = 64 * 1024 + 16;
        const boundaries = [header, header + 16, header + 16 + chunk, header + 16 + 100 * chunk];
        const lengths = [
            30,
            ...boundaries,
            ...boundaries.map((at) => at - 1),
            ...boundaries.map((at) => at + 1),
            length - 1,
        ];
        for (const left of lengths) {
            const file = changed((bytes) => bytes.subarray(0, left));
            await expect(readArchive(file, quick), `${left} bytes`).rejects.toThrow(/Nothing was changed/);
            rmSync(file);
        }
    });

    it("goes on after its end", async () => {
        const file = changed((bytes) => bytes);
        appendFileSync(file, "x");
        await expect(readArchive(file, quick)).rejects.toThrow("is damaged or cut short");
        truncateSync(file, statSync(file).size - 1);
        await expect(readArchive(file, quick)).resolves.toBeTruthy();
    });

    it("is of a newer version", async () => {
        const newer = { ...manifestOf([]), schema: backupSchema + 1, parts: "of another shape" };
        const file = await encrypted([["manifest.json", JSON.stringify(newer)]]);
        await expect(readArchive(file, quick)).rejects.toThrow(`is of version ${backupSchema + 1}`);
    });

    it.each([
        ["something else", [["hello", "world"]]],
        ["a manifest of another shape", [["manifest.json", '{"schema": 1}']]],
        [
            "a part that the manifest does not name",
            [
                ["manifest.json", manifest()],
                ["parts/redis/00000000", "x"],
            ],
        ],
        [
            "what follows its sums",
            [
                ["manifest.json", manifest()],
                ["checksums.json", "{}"],
                ["parts/home/00000000", "x"],
            ],
        ],
    ] as [string, [string, string][]][])("holds %s", async (_, entries) => {
        const file = await encrypted(entries);
        await expect(readArchive(file, quick)).rejects.toThrow("holds no backup that");
    });

    it.each([
        ["a part twice", ["home/00000000", "keys/00000000", "home/00000001"], /holds no backup/],
        ["a gap", ["home/00000000", "home/00000002"], /out of order/],
        ["other bytes than its sums say", ["home/00000000"], /the sum of home is another one/],
    ])("has %s", async (_, pieces, why) => {
        const entries = pieces.map((name): [string, string] => [`parts/${name}`, "x"]);
        const sums = { home: { bytes: 1, sha256: "0".repeat(64) } };
        const file = await encrypted([
            ["manifest.json", manifest("home", "keys")],
            ...entries,
            ["checksums.json", JSON.stringify(sums)],
        ]);
        await expect(readArchive(file, quick)).rejects.toThrow(why);
    });

    it("has no end", async () => {
        const file = await encrypted([["manifest.json", manifest("home")]]);
        await expect(readArchive(file, quick)).rejects.toThrow("its end is missing");
    });
});

function manifest(...names: string[]): string {
    return JSON.stringify(manifestOf(names.length > 0 ? names : ["home"]));
}
