import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { unusualCertificates } from "../../settings/certificates";
import { baseImage, hostCertificates } from "../image/base-image";
import { computeImage } from "../image/compute-image";

/** What tests/acceptance/scan-layers.py prints. */
interface Finding {
    layer: string;
    path: string;
    finding: string;
}

const base = baseImage();
const compute = computeImage();
let folder: string;

beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "carbon-layers-"));
});

afterAll(() => rmSync(folder, { recursive: true }));

/** A line of each certificate that the builds got as a secret and that Debian does not have; nothing without a secret. */
async function buildCertificates(): Promise<string> {
    const bundle = hostCertificates();
    const pem = bundle && unusualCertificates(readFileSync(bundle, "utf8"));
    const certificates = pem?.split("-----BEGIN CERTIFICATE-----\n").slice(1) ?? [];
    const debian = "cat /usr/share/ca-certificates/mozilla/*.crt";
    const { stdout: usual } = await execa("docker", ["run", "--rm", base, "sh", "-c", debian]);
    const lines = certificates.map((text) => text.split("\n")[5] ?? "");
    return lines.filter((line) => !usual.includes(line)).join("\n");
}

/** Scans the layers of `images` in a container of the base image, which has Python and zstd; shared ones once. */
async function scan(...images: string[]): Promise<string[]> {
    const forbidden = join(folder, "forbidden");
    writeFileSync(forbidden, await buildCertificates());
    const mounts = [
        `--volume=${join(__dirname, "scan-layers.py")}:/scan-layers.py:ro`,
        `--volume=${forbidden}:/forbidden:ro`,
    ];
    const python = ["python3", "/scan-layers.py", "/forbidden"];
    const { stdout } = await execa("docker", ["save", ...images], { buffer: false, encoding: "buffer" }).pipe(
        "docker",
        ["run", "--rm", "--interactive", "--network=none", ...mounts, base, ...python],
    );
    return JSON.parse(stdout).map(({ path, finding }: Finding) => `${path}: ${finding}`);
}

/** Keys that open nothing, and files that say nothing secret: tests, examples and documents of packages. */
const harmless = [
    /\/(test|tests|testdata|examples)\/.+: (private|AWS) key$/,
    /\/(awscli|@aws-sdk)\/.+: AWS key$/,
    // An example in a docstring.
    /\/mlflow\/genai\/scorers\/guardrails\/.+: OpenAI or Anthropic key$/,
    /^usr\/share\/go-[\d.]+\/src\/crypto\/.+: private key$/,
    /^usr\/local\/lib\/node_modules\/npm\/(docs|man)\/.+: registry token$/,
    // Settings of npm's, of the environment's and of pip's (what it does not ask for), and lists of authorities that are older
    // than Debian's own.
    /^(usr\/local\/lib\/node_modules\/npm\/\.npmrc|opt\/carbon\/venv\/pip\.conf|etc\/pip\.conf): a place for secrets$/,
    /^usr\/lib\/python3\/dist-packages\/.+\/cacert\.pem: forbidden line$/,
];

describe("the layers of an image", () => {
    it("are searched for secrets, deleted files included", async () => {
        const tag = "docker.io/carbon/base:test-secret";
        const { privateKey } = generateKeyPairSync("ed25519");
        writeFileSync(join(folder, "key"), privateKey.export({ type: "pkcs8", format: "pem" }));
        const dockerfile = [
            "FROM debian:trixie-slim",
            "COPY key /home/key",
            "RUN mkdir -p /run/secrets && echo x > /run/secrets/x",
            "RUN rm -r /home/key /run/secrets/x",
        ].join("\n");
        const build = ["buildx", "build", "--builder=default", `--tag=${tag}`, "--file=-", folder];
        await execa("docker", build, { input: dockerfile });
        const found = await scan(tag);
        await execa("docker", ["rmi", tag]);
        expect(found).toEqual(
            expect.arrayContaining(["home/key: private key", "run/secrets/x: a place for secrets"]),
        );
    });

    it("hold no secret, in base or compute", async () => {
        const found = await scan(base, compute);
        expect(found.filter((finding) => !harmless.some((known) => known.test(finding)))).toEqual([]);
    });
});
