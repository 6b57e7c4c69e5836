import { createCipheriv, createDecipheriv, pbkdf2, randomBytes } from "node:crypto";
import { promisify } from "node:util";
import { EngineError } from "./engine-error";

// Pulumi's passphrase secrets manager (pkg/secrets/passphrase, sdk/go/common/resource/config/crypt.go).
const ITERATIONS = 1_000_000;
const KEY_BYTES = 32;
const SALT_BYTES = 8;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** A salt line carries this word encrypted, so that a wrong passphrase is noticed before any secret is read. */
const CHECK_WORD = "pulumi";

/** Encrypts and decrypts single values with a key made from a passphrase, in Pulumi's own format. */
export class Crypter {
    private readonly ciphertexts = new Map<string, string>();

    private constructor(
        private readonly key: Buffer,
        /** The line `v1:<salt>:v1:<nonce>:<ciphertext>` that a checkpoint or stack file stores. */
        readonly salt: string,
    ) {}

    /** A crypter with a fresh salt, for a stack that has none. */
    static async create(passphrase: string): Promise<Crypter> {
        const salt = randomBytes(SALT_BYTES);
        const key = await deriveKey(passphrase, salt);
        return new Crypter(key, `v1:${salt.toString("base64")}:${seal(key, CHECK_WORD)}`);
    }

    /** @throws EngineError when the passphrase is not the one that the salt line was made with. */
    static async open(passphrase: string, line: string): Promise<Crypter> {
        const [version, salt, ...check] = line.split(":");
        if (version !== "v1" || !salt || check.length !== 3) {
            throw new EngineError(`The stack's encryption salt is malformed: "${line}".`);
        }
        const key = await deriveKey(passphrase, Buffer.from(salt, "base64"));
        try {
            if (unseal(key, check.join(":")) === CHECK_WORD) {
                return new Crypter(key, line);
            }
        } catch {
            // AES-GCM tells a wrong key by the tag; the sentence below says it in the user's terms.
        }
        throw new EngineError(
            "The passphrase does not open this stack's secrets: set PULUMI_CONFIG_PASSPHRASE (or " +
                "PULUMI_CONFIG_PASSPHRASE_FILE) to the one it was made with.",
        );
    }

    /** Encrypts a text. The same text gives the same ciphertext within one run, so unchanged state stays unchanged. */
    encrypt(plaintext: string): string {
        const known = this.ciphertexts.get(plaintext) ?? seal(this.key, plaintext);
        this.ciphertexts.set(plaintext, known);
        return known;
    }

    /** @throws Error when the text was encrypted with another key or damaged. */
    decrypt(ciphertext: string): string {
        const plaintext = unseal(this.key, ciphertext);
        this.ciphertexts.set(plaintext, ciphertext);
        return plaintext;
    }
}

function deriveKey(passphrase: string, salt: Buffer): Promise<Buffer> {
    return promisify(pbkdf2)(passphrase, salt, ITERATIONS, KEY_BYTES, "sha256");
}

function seal(key: Buffer, plaintext: string): string {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv("aes-256-gcm", key, nonce);
    const sealed = Buffer.concat([cipher.update(plaintext, "utf8"), cipher.final(), cipher.getAuthTag()]);
    return `v1:${nonce.toString("base64")}:${sealed.toString("base64")}`;
}

function unseal(key: Buffer, text: string): string {
    const [version, nonce, sealed] = text.split(":");
    if (version !== "v1" || !nonce || !sealed) {
        throw new EngineError(
            "An encrypted value is malformed: it should look like v1:<nonce>:<ciphertext>.",
        );
    }
    const bytes = Buffer.from(sealed, "base64");
    const decipher = createDecipheriv("aes-256-gcm", key, Buffer.from(nonce, "base64"));
    decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
    return decipher.update(bytes.subarray(0, -TAG_BYTES), undefined, "utf8") + decipher.final("utf8");
}
