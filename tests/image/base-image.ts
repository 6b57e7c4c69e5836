import { existsSync } from "node:fs";
import { join } from "node:path";
import { execaSync } from "execa";
import { baseToolsets } from "../../catalogue/toolsets";

const projectDir = join(__dirname, "..", "..");

/**
 * The base image that the tests look at: the one that CARBON_TEST_BASE_IMAGE names, else one with the databases
 * alone, built here from the same Dockerfile. Not a promise: what is in it decides which tests there are.
 */
export function baseImage(): string {
    const given = process.env.CARBON_TEST_BASE_IMAGE;
    if (given) {
        return given;
    }
    const tag = "docker.io/carbon/base:test";
    if (!onlyListed) {
        buildBase(tag, slimToolsets);
    }
    return tag;
}

/** True where the tests are only to be counted, on a machine without an engine (see tests/suite.ts). */
export const onlyListed = process.env.CARBON_TEST_LIST === "1";

const slimToolsets = ["databases"];

/** The file /etc/carbon/image.json. */
export interface ImageJson {
    image: string;
    platform: string;
    toolsets: string[];
    /** Toolsets that are on, but whose vendor the build could not reach. */
    unavailable: string[];
}

/** What an image says of itself. Where the tests are only listed, what the slim one would say. */
export function readImageJson(image: string): ImageJson {
    if (onlyListed) {
        return { image, platform: "linux/amd64", toolsets: slimToolsets, unavailable: [] };
    }
    const known = imageJsons.get(image);
    if (known) {
        return known;
    }
    const said = execaSync("docker", ["run", "--rm", image, "cat", "/etc/carbon/image.json"]).stdout;
    imageJsons.set(image, JSON.parse(said));
    return JSON.parse(said);
}

const imageJsons = new Map<string, ImageJson>();

/** Builds the base image with `toolsets` and no others; `buildArgs` come on top. Default platform: the engine's. */
export function buildBase(
    tag: string,
    toolsets: readonly string[],
    buildArgs: Record<string, string> = {},
    platform?: string,
): void {
    const switches = baseToolsets.map((name) => [`TOOLSET_${name.toUpperCase()}`, toolsets.includes(name)]);
    execaSync(
        "docker",
        [
            "buildx",
            "build",
            "--file=dockerfiles/base/Dockerfile",
            ...(platform ? [`--platform=${platform}`] : []),
            ...[...switches, ...Object.entries(buildArgs)].map(
                ([name, value]) => `--build-arg=${name}=${value}`,
            ),
            ...caSecret(),
            `--output=type=image,name=${tag},compression=zstd,oci-mediatypes=true`,
            ".",
        ],
        { cwd: projectDir, env: { BUILDX_NO_DEFAULT_ATTESTATIONS: "1" }, all: true },
    );
}

/** The file with the certificates that this machine trusts besides the usual ones, where the environment names one. */
export function hostCertificates(): string | undefined {
    const bundle = process.env.NODE_EXTRA_CA_CERTS ?? process.env.SSL_CERT_FILE;
    return bundle && existsSync(bundle) ? bundle : undefined;
}

/** {@link hostCertificates} as the build secret `ca`. */
export function caSecret(): string[] {
    const bundle = hostCertificates();
    return bundle ? [`--secret=id=ca,src=${bundle}`] : [];
}
