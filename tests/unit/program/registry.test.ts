import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { lookUp, lookUpHere } from "../../../settings/registry";

/** A `docker` that prints this; with `error`, it fails. */
function docker({ output = "", error = "" }: { output?: string; error?: string }): void {
    const folder = mkdtempSync(join(tmpdir(), "carbon-docker-"));
    const script = `#!/bin/sh\ncat <<'END'\n${output}\nEND\nprintf '%s\\n' '${error}' >&2\nexit ${error ? 1 : 0}\n`;
    writeFileSync(join(folder, "docker"), script);
    chmodSync(join(folder, "docker"), 0o755);
    vi.stubEnv("PATH", `${folder}${delimiter}${process.env.PATH}`);
    onTestFinished(() => {
        vi.unstubAllEnvs();
        rmSync(folder, { recursive: true });
    });
}

const config = { Labels: { "carbon.content": "abc" } };
const amd64 = { os: "linux", architecture: "amd64" };

const digest = (figure: number) => `sha256:${String(figure).repeat(64)}`;

describe("an image in a registry", () => {
    it("has the platforms of its index, without the attestations", () => {
        const manifests = [
            { digest: digest(2), platform: amd64 },
            { digest: digest(4), platform: { os: "unknown", architecture: "unknown" } },
        ];
        const image = { "linux/amd64": { config } };
        docker({ output: JSON.stringify({ manifest: { digest: digest(1), manifests }, image }) });
        expect(lookUp("r/base:1")).toEqual({
            digest: digest(1),
            platforms: { "linux/amd64": { digest: digest(2), labels: config.Labels } },
        });
    });

    it("has its one platform where it is no index", () => {
        docker({ output: JSON.stringify({ manifest: { digest: digest(1) }, image: { ...amd64, config } }) });
        expect(lookUp("r/base:1")).toEqual({
            digest: digest(1),
            platforms: { "linux/amd64": { digest: digest(1), labels: config.Labels } },
        });
    });

    // What buildx 0.13 says, each tried against a registry.
    it.each([
        ["missing", "ERROR: 127.0.0.1:5000/carbon/base:nope: not found"],
        [
            "denied",
            "ERROR: pull access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials",
        ],
        [
            "denied",
            "ERROR: unexpected status from HEAD request to http://127.0.0.1:5000/v2/carbon/base/manifests/1: 401 Unauthorized",
        ],
        [
            "denied",
            'ERROR: error getting credentials - err: exec: "docker-credential-desktop": executable file not found in $PATH, out: ``',
        ],
        [
            "silent",
            'ERROR: failed to do request: Head "http://127.0.0.1:5001/v2/x/manifests/1": dial tcp 127.0.0.1:5001: connect: connection refused',
        ],
        [
            "silent",
            "ERROR: failed to do request: dial tcp: lookup nowhere.invalid on 10.0.0.1:53: no such host",
        ],
    ])("is %s where buildx says: %s", (why, error) => {
        docker({ error });
        expect(lookUp("r/base:1")).toEqual({ why, words: error.replace("ERROR: ", "") });
    });

    it("is silent where a digest is none, which would become part of a reference", () => {
        docker({
            output: JSON.stringify({ manifest: { digest: "sha256:1 --x" }, image: { ...amd64, config } }),
        });
        expect(lookUp("r/base:1")).toMatchObject({ why: "silent" });
    });

    it("is silent where something else answers, and no terminal is moved by what it says", () => {
        docker({ output: '{"hello": 1}' });
        expect(lookUp("r/base:1")).toMatchObject({ why: "silent" });
        docker({ error: "not \x1b[2J\x07 found" });
        expect(lookUp("r/base:1")).toEqual({ why: "silent", words: "not ?[2J? found" });
    });
});

describe("an image in the Docker Engine", () => {
    it("is known by its digest, with its platform and labels", () => {
        docker({
            output: JSON.stringify([{ Id: "sha256:9", Os: "linux", Architecture: "arm64", Config: config }]),
        });
        expect(lookUpHere("r/base@sha256:9")).toEqual({
            digest: "sha256:9",
            platforms: { "linux/arm64": { digest: "sha256:9", labels: config.Labels } },
        });
    });

    it("is none where it is not there", () => {
        docker({ output: "[]", error: "Error response from daemon: No such image: r/base@sha256:9" });
        expect(lookUpHere("r/base@sha256:9")).toBeUndefined();
    });
});
