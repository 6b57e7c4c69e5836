import { attestationEnvironment } from "@carbon/engine";
import { type ImageBuild, imagePlatforms, type SuiteImages, suiteImages } from "../catalogue/images";
import { sourceHash } from "../catalogue/sources";
import type { Settings } from "../settings/parse";
import { lookUp } from "../settings/registry";
import type { BuiltImage } from "./buildImages";
import { UserError } from "./errors";
import { run, runInteractively } from "./process";
import type { Session } from "./session";

/** Folder under dockerfiles/ with what writes bills of materials. */
const scannerFolder = "sbom";

/**
 * Sees to it that the registry has the scanner that BuildKit runs over an image which is pushed: BuildKit's own is on Docker
 * Hub alone.
 *
 * @param certificates File with the certificates that the build trusts, where there is one.
 * @returns its reference.
 * @throws UserError when it cannot be built; Docker has shown why.
 */
export async function provideScanner(
    settings: Settings,
    session: Session,
    certificates?: string,
): Promise<string> {
    const scanner = scannerReference(settings);
    if ("digest" in lookUp(scanner)) {
        return scanner;
    }
    session.output.note(`Building what writes the bills of materials: ${scanner}`);
    await buildx(
        session,
        [
            ...scannerArguments(settings, "scanner", certificates),
            ...["--output", `type=image,name=${scanner},push=true,oci-mediatypes=true`],
        ],
        "The scanner for bills of materials could not be built and pushed; what went wrong is above.",
    );
    return scanner;
}

/** BuildKit runs the scanner as it is: each kind of machine has its own, though they share the registry. */
export function scannerReference({
    imagePrefix,
    machinePlatform,
}: Pick<Settings, "imagePrefix" | "machinePlatform">): string {
    const tag = `${sourceHash(scannerFolder).slice(0, 12)}-${machinePlatform.replace("linux/", "")}`;
    return `${imagePrefix}/${scannerFolder}:${tag}`;
}

/** Arguments for `docker buildx build` of a stage beside the suite's images, its context last. */
export function scannerArguments(
    { builder, rootImage, buildProxy }: Settings,
    target: "scanner" | "bill",
    certificates?: string,
): string[] {
    const buildArgs = Object.entries({ ROOT_IMAGE: rootImage, ...buildProxy });
    return [
        ...["--builder", builder, "--file", `dockerfiles/${scannerFolder}/Dockerfile`, "--target", target],
        ...buildArgs.flatMap(([name, value]) => ["--build-arg", `${name}=${value}`]),
        ...(certificates ? ["--secret", `id=ca,src=${certificates}`] : []),
    ];
}

/** Runs `docker buildx build` in the project's folder, which is the context. */
export async function buildx(session: Session, args: readonly string[], failure: string): Promise<void> {
    const exitCode = await runInteractively("docker", ["buildx", "build", ...args, "."], {
        cwd: session.project.dir,
        env: attestationEnvironment(false),
        stdout: session.output.progressFd,
        signal: session.signal,
    });
    if (exitCode !== 0) {
        throw new UserError(failure);
    }
}

/** Arguments by which a pushed image says how it was made, with all that decided it, and what is in it. */
export function attestations(scanner: string): string[] {
    return ["--attest", "type=provenance,mode=max", "--attest", `type=sbom,generator=${scanner}`];
}

/**
 * Makes one image of those that machines of both platforms have pushed, attestations included.
 *
 * @throws UserError naming what a machine has yet to push.
 */
export async function mergeImages(settings: Settings, session: Session): Promise<BuiltImage[]> {
    const parts = imagePlatforms.map((platform) => ({
        platform,
        images: suiteImages({ ...settings, platforms: [platform] }),
    }));
    const missing = parts.flatMap(({ platform, images }) =>
        each(images)
            .map(({ tag }) => ({ tag, found: lookUp(tag) }))
            .flatMap(({ tag, found }) => {
                const build = `\`./carbon build --${platform.split("/")[1]} --push${session.stackFlag()}\``;
                return "why" in found ? [`  ${tag} (${found.why === "missing" ? build : found.words})`] : [];
            }),
    );
    if (missing.length > 0) {
        throw new UserError(["The registry does not hand out what is to be merged:", ...missing].join("\n"));
    }
    const merged: BuiltImage[] = [];
    for (const { tag, folder } of each(suiteImages({ ...settings, platforms: [...imagePlatforms] }))) {
        const sources = parts.flatMap(({ images }) => images[folder]?.tag ?? []);
        await imagetools(session, ["create", "--tag", tag, ...sources]);
        const found = lookUp(tag);
        if ("why" in found) {
            throw new UserError(`The registry does not hand out ${tag}: ${found.words}`);
        }
        merged.push({ name: folder, ref: `${tag}@${found.digest}`, digest: found.digest });
    }
    return merged;
}

function each({ base, compute }: SuiteImages): ImageBuild[] {
    return compute ? [base, compute] : [base];
}

/** Gives pushed images one more tag, such as a release's. */
export async function tagImages(
    images: readonly BuiltImage[],
    tag: string,
    { imagePrefix }: Settings,
    session: Session,
): Promise<string[]> {
    const tags = images.map(({ name }) => `${imagePrefix}/${name}:${tag}`);
    for (const [index, { ref }] of images.entries()) {
        await imagetools(session, ["create", "--tag", tags[index] ?? "", ref]);
    }
    return tags;
}

async function imagetools(session: Session, args: string[]): Promise<void> {
    const { exitCode, reason } = await run("docker", ["buildx", "imagetools", ...args], {
        cancelSignal: session.signal,
    });
    if (exitCode !== 0) {
        throw new UserError(`docker buildx imagetools ${args[0]} failed: ${reason}`);
    }
}

/**
 * Signs pushed images by their digests with cosign, where it is installed: with the key that COSIGN_KEY names, or without
 * one, by a login that cosign asks for.
 *
 * @returns whether they are signed.
 * @throws UserError when cosign fails; it has shown why.
 */
export async function signImages(images: readonly BuiltImage[], session: Session): Promise<boolean> {
    const { missing } = await run("cosign", ["version"]);
    if (missing) {
        session.output.note("Not signed: cosign is not installed.");
        return false;
    }
    const key = process.env.COSIGN_KEY ? ["--key", process.env.COSIGN_KEY] : [];
    for (const { ref } of images) {
        const exitCode = await runInteractively("cosign", ["sign", "--yes", ...key, byDigest(ref)], {
            cwd: session.project.dir,
            stdout: session.output.progressFd,
            signal: session.signal,
        });
        if (exitCode !== 0) {
            throw new UserError(
                `${ref} is pushed, but cosign could not sign it; what went wrong is above. \`--no-sign\` leaves it out.`,
            );
        }
    }
    return true;
}

/** cosign warns of a tag beside the digest. */
function byDigest(ref: string): string {
    return ref.replace(/:[^/:@]+@/, "@");
}
