import { createHash, type Hash } from "node:crypto";
import { closeSync, createReadStream, createWriteStream, openSync, readSync } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { ReadableStream } from "node:stream/web";
import { extract, type Pack, pack } from "tar-stream";
import { messageOf, UserError } from "../errors";
import { backupSchema, type Checksums, checksums, type Manifest, manifest } from "./manifest";

// A backup is one age file (https://age-encryption.org/v1), encrypted with a passphrase. In it is a tar: the manifest,
// the parts in pieces of a fixed size, as nobody knows how long a part gets, and the sums of the parts.
const magic = "age-encryption.org/v1\n";
const manifestName = "manifest.json";
const checksumsName = "checksums.json";
const untouched = "Nothing was changed.";
/** Bytes of a piece; what is read and written is never more than some of them at a time. */
const pieceBytes = 4 * 1024 * 1024;
/** Of scrypt, as a power of two: age's own. It takes 256 MiB of memory and a second or two. */
const workFactor = 18;

/** Where a part's bytes come from. */
export interface Source {
    name: string;
    open(): AsyncIterable<Uint8Array>;
}

/** What is told while a backup is written or read. */
export type Progress = (part: string, bytes: number) => void;

/** What a backup is written with. */
export interface ArchiveOptions {
    passphrase: string;
    progress?: Progress;
    signal?: AbortSignal;
    /** Of scrypt; for tests. */
    workFactor?: number;
    /** A sentence on what a failure to read it leaves behind; that nothing was changed when absent. */
    left?(): string;
}

/**
 * Writes a backup into a new file, which its owner alone can read.
 *
 * @param file Where nothing lies.
 * @returns what was written of each part.
 * @throws UserError of a source that failed; the system's own error where the file cannot be written, or is there.
 */
export async function writeArchive(
    file: string,
    contents: { manifest: Manifest; sources: readonly Source[] },
    options: ArchiveOptions,
): Promise<Checksums> {
    const { Encrypter } = await import("age-encryption");
    const encrypter = new Encrypter();
    encrypter.setScryptWorkFactor(options.workFactor ?? workFactor);
    encrypter.setPassphrase(options.passphrase);
    const tar = pack();
    const encrypted = await encrypter.encrypt(
        ReadableStream.from(tar) as globalThis.ReadableStream<Uint8Array>,
    );
    const target = createWriteStream(file, { flags: "wx", mode: 0o600, flush: true });
    const writing = pipeline(Readable.fromWeb(encrypted as ReadableStream), target, {
        signal: options.signal,
    });
    // Whichever of the two fails, the other one ends with it.
    writing.catch((error) => tar.destroy(error));
    try {
        const sums = await writeEntries(tar, contents, options);
        await writing;
        return sums;
    } catch (error) {
        tar.destroy(error instanceof Error ? error : new Error(messageOf(error)));
        // The first reason counts: a full disk is why the tar was cut off.
        const reason = await writing.then(
            () => error,
            (cause) => cause,
        );
        throw isBecauseOf(error, reason) ? error : reason;
    }
}

function isBecauseOf(error: unknown, reason: unknown): boolean {
    return error instanceof UserError || messageOf(error) === messageOf(reason);
}

async function writeEntries(
    tar: Pack,
    { manifest, sources }: { manifest: Manifest; sources: readonly Source[] },
    { progress, signal }: ArchiveOptions,
): Promise<Checksums> {
    await writeEntry(tar, manifestName, json(manifest));
    const sums: Checksums = {};
    for (const { name, open } of sources) {
        const hash = createHash("sha256");
        let [bytes, number] = [0, 0];
        progress?.(name, 0);
        for await (const piece of pieces(open())) {
            signal?.throwIfAborted();
            hash.update(piece);
            bytes += piece.length;
            await writeEntry(tar, pieceName(name, number++), piece);
            progress?.(name, bytes);
        }
        sums[name] = { bytes, sha256: hash.digest("hex") };
    }
    await writeEntry(tar, checksumsName, json(sums));
    tar.finalize();
    return sums;
}

function json(document: unknown): Buffer {
    return Buffer.from(`${JSON.stringify(document, null, 2)}\n`);
}

function pieceName(part: string, number: number): string {
    return `parts/${part}/${String(number).padStart(8, "0")}`;
}

function writeEntry(tar: Pack, name: string, content: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
        const header = { name, size: content.length, mode: 0o600, mtime: new Date(0) };
        tar.entry(header, content, (error) => (error ? reject(error) : resolve()));
    });
}

/** The same bytes in pieces of one size, the last one shorter. */
async function* pieces(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
    let waiting: Uint8Array[] = [];
    let length = 0;
    for await (let chunk of chunks) {
        while (length + chunk.length >= pieceBytes) {
            const rest = pieceBytes - length;
            yield Buffer.concat([...waiting, chunk.subarray(0, rest)]);
            chunk = chunk.subarray(rest);
            [waiting, length] = [[], 0];
        }
        if (chunk.length > 0) {
            waiting.push(chunk);
            length += chunk.length;
        }
    }
    if (length > 0) {
        yield Buffer.concat(waiting);
    }
}

/** What a backup holds, as it is read. */
export interface Reader {
    /** Before the parts. */
    onManifest?(manifest: Manifest): void | Promise<void>;
    /** The next bytes of a part. */
    onPiece?(part: string, piece: Buffer): void | Promise<void>;
    /** After a part's last bytes. */
    onPartEnd?(part: string): void | Promise<void>;
}

/** A backup that has been read to its end, and is whole. */
export interface Whole {
    manifest: Manifest;
    checksums: Checksums;
}

/**
 * Reads a backup to its end. What is given to the reader is authentic: age has found it unchanged. That nothing is missing
 * is known at the end.
 *
 * @throws UserError in one sentence where the passphrase does not open it, or it is damaged, cut short, of a newer version
 * or no backup.
 */
export async function readArchive(
    file: string,
    options: ArchiveOptions,
    reader: Reader = {},
): Promise<Whole> {
    ensureAge(file);
    const { Decrypter } = await import("age-encryption");
    const decrypter = new Decrypter();
    decrypter.addPassphrase(options.passphrase);
    const source = createReadStream(file, { signal: options.signal, highWaterMark: 1024 * 1024 });
    const tar = extract();
    try {
        const plain = await decrypter.decrypt(
            Readable.toWeb(source) as unknown as globalThis.ReadableStream<Uint8Array>,
        );
        const feeding = pipeline(Readable.fromWeb(plain as ReadableStream), tar);
        feeding.catch(() => {});
        const whole = await readEntries(tar, file, options, reader);
        await feeding;
        return whole;
    } catch (error) {
        throw explained(file, error, options);
    } finally {
        source.destroy();
    }
}

/** @throws UserError where the file cannot be read, or does not begin as an age file does. */
function ensureAge(file: string): void {
    const start = Buffer.alloc(magic.length);
    try {
        const descriptor = openSync(file, "r");
        try {
            readSync(descriptor, start);
        } finally {
            closeSync(descriptor);
        }
    } catch (error) {
        throw new UserError(`The backup ${file} cannot be read: ${messageOf(error)}`);
    }
    if (start.toString("latin1") !== magic) {
        throw new UserError(`${file} is no backup that \`./carbon backup\` has written. ${untouched}`);
    }
}

function explained(
    file: string,
    error: unknown,
    { signal, left = () => untouched }: ArchiveOptions,
): unknown {
    if (error instanceof UserError || signal?.aborted) {
        return error;
    }
    if (/no identity matched|work factor is too high/.test(messageOf(error))) {
        return new UserError(`The passphrase does not open ${file}. ${left()}`);
    }
    const { fault, advice } = error instanceof Unfit ? error : damaged(file, messageOf(error));
    return new UserError([fault, left(), advice].join(" ").trim());
}

/** What a file has that is no whole backup. */
class Unfit extends Error {
    constructor(
        /** A sentence. */
        readonly fault: string,
        /** A sentence; empty where there is nothing to do. */
        readonly advice = "",
    ) {
        super(fault);
    }
}

function damaged(file: string, why: string): Unfit {
    return new Unfit(
        `The backup ${file} is damaged or cut short (${why}).`,
        "Take another copy of it, or another backup.",
    );
}

async function readEntries(
    tar: ReturnType<typeof extract>,
    file: string,
    options: ArchiveOptions,
    reader: Reader,
): Promise<Whole> {
    const entries = new Entries(file, reader, options.progress);
    for await (const entry of tar) {
        options.signal?.throwIfAborted();
        const { name, size = 0 } = entry.header;
        if (size > pieceBytes) {
            throw foreign(file);
        }
        const chunks: Buffer[] = [];
        for await (const chunk of entry as AsyncIterable<Buffer>) {
            chunks.push(chunk);
        }
        await entries.take(name, Buffer.concat(chunks));
    }
    return entries.end();
}

/** Holds what comes out of a backup, entry by entry, to what one is made of. */
class Entries {
    private manifest?: Manifest;
    private sums?: Checksums;
    private readonly found: Checksums = {};
    private current?: { name: string; pieces: number; bytes: number; hash: Hash };

    constructor(
        private readonly file: string,
        private readonly reader: Reader,
        private readonly progress: Progress | undefined,
    ) {}

    async take(name: string, content: Buffer): Promise<void> {
        if (!this.manifest) {
            this.manifest = readManifest(this.file, name, content);
            await this.reader.onManifest?.(this.manifest);
        } else if (this.sums) {
            throw foreign(this.file);
        } else if (name === checksumsName) {
            await this.endPart();
            this.sums = checksums.parse(JSON.parse(content.toString()));
        } else {
            await this.takePiece(name, content);
        }
    }

    private async takePiece(name: string, content: Buffer): Promise<void> {
        const [, part = "", number = ""] = /^parts\/([^/]+)\/(\d{8})$/.exec(name) ?? [];
        if (part !== this.current?.name) {
            await this.endPart();
            if (!this.manifest?.parts.some((one) => one.name === part) || part in this.found) {
                throw foreign(this.file);
            }
            this.current = { name: part, pieces: 0, bytes: 0, hash: createHash("sha256") };
        }
        const { current } = this;
        if (Number(number) !== current.pieces++) {
            throw damaged(this.file, `piece ${number} of ${part} is out of order`);
        }
        current.hash.update(content);
        current.bytes += content.length;
        await this.reader.onPiece?.(part, content);
        this.progress?.(part, current.bytes);
    }

    private async endPart(): Promise<void> {
        const { current } = this;
        this.current = undefined;
        if (current) {
            this.found[current.name] = { bytes: current.bytes, sha256: current.hash.digest("hex") };
            await this.reader.onPartEnd?.(current.name);
        }
    }

    end(): Whole {
        if (!this.manifest || !this.sums) {
            throw damaged(this.file, "its end is missing");
        }
        ensureSame(this.file, this.manifest, this.found, this.sums);
        return { manifest: this.manifest, checksums: this.sums };
    }
}

function readManifest(file: string, name: string, content: Buffer): Manifest {
    if (name !== manifestName) {
        throw foreign(file);
    }
    const document: unknown = JSON.parse(content.toString());
    const schema = (document as { schema?: unknown } | null)?.schema;
    if (typeof schema === "number" && schema > backupSchema) {
        throw new Unfit(
            `The backup ${file} is of version ${schema}, and this suite reads ${backupSchema}: take a newer version of the suite.`,
        );
    }
    const parsed = manifest.safeParse(document);
    if (!parsed.success) {
        throw foreign(file);
    }
    return parsed.data;
}

/** An age file that the passphrase opens, but which holds something else. */
function foreign(file: string): Unfit {
    return new Unfit(foreignFault(file));
}

/** What to say of a file that the passphrase opens, but which holds something else: a sentence. */
export function foreignFault(file: string, why?: string): string {
    const reason = why ? ` (${why})` : "";
    return `${file} can be decrypted, but holds no backup that \`./carbon backup\` has written${reason}.`;
}

function ensureSame(file: string, { parts }: Manifest, found: Checksums, sums: Checksums): void {
    for (const { name } of parts) {
        // A part without a byte has no piece.
        const seen = found[name] ?? { bytes: 0, sha256: createHash("sha256").digest("hex") };
        if (sums[name]?.bytes !== seen.bytes || sums[name]?.sha256 !== seen.sha256) {
            throw damaged(file, `the sum of ${name} is another one`);
        }
    }
}
