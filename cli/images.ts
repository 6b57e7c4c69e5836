import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { baseImage, computeImage, type ImageBuild } from "../catalogue/images";
import type { Settings } from "../settings/parse";
import { buildMetadata, parseDocument } from "./documents";
import { UserError } from "./errors";
import { runInteractively } from "./process";
import type { Session } from "./session";

// Files in the scratch folder.
const certificates = "ca.pem";
const metadata = "metadata.json";

/** An image that was built. */
export interface BuiltImage {
    name: "base" | "compute";
    /** Tag with digest. */
    ref: string;
    digest: string;
}

/**
 * Builds the suite's images as the program does, with the same arguments and tags, so that a later `up` finds
 * everything in the cache.
 *
 * @throws UserError when a build fails; Docker has shown why.
 */
export async function buildImages(settings: Settings, session: Session): Promise<BuiltImage[]> {
    const base = await buildImage(baseImage(settings), settings, session);
    return settings.compute
        ? [base, await buildImage(computeImage(settings, base.digest), settings, session)]
        : [base];
}

async function buildImage(
    image: ImageBuild<string>,
    settings: Settings,
    session: Session,
): Promise<BuiltImage> {
    const scratch = mkdtempSync(join(tmpdir(), "carbon-build-"));
    try {
        if (settings.caCertificates) {
            writeFileSync(join(scratch, certificates), settings.caCertificates);
        }
        const exitCode = await runInteractively("docker", buildxArgs(image, settings, scratch), {
            cwd: session.project.dir,
            // As in a deployment: attestations only where somebody else is going to pull the image.
            env: settings.push ? {} : { BUILDX_NO_DEFAULT_ATTESTATIONS: "1" },
            stdout: session.output.progressFd,
            signal: session.signal,
        });
        if (exitCode !== 0) {
            throw new UserError(`Building the image ${image.folder} failed; what went wrong is above.`);
        }
        const { "containerimage.digest": digest } = parseDocument(
            "What buildx says of the image",
            buildMetadata,
            readFileSync(join(scratch, metadata), "utf8"),
            "`docker buildx version` shows which buildx it is; `make setup` installs one.",
        );
        return { name: image.folder, ref: `${image.tag}@${digest}`, digest };
    } finally {
        rmSync(scratch, { recursive: true });
    }
}

/**
 * Arguments for `docker` that say what the program's image resources say.
 *
 * @param scratch Folder with the certificates, where there are any, and for what buildx reports.
 */
export function buildxArgs(image: ImageBuild<string>, settings: Settings, scratch: string): string[] {
    const { folder, tag, buildArgs } = image;
    return [
        "buildx",
        "build",
        ...["--builder", settings.builder],
        ...["--file", `dockerfiles/${folder}/Dockerfile`],
        ...["--platform", settings.platforms.join(",")],
        ...Object.entries(buildArgs).flatMap(([key, value]) => ["--build-arg", `${key}=${value}`]),
        ...(settings.caCertificates ? ["--secret", `id=ca,src=${join(scratch, certificates)}`] : []),
        ...[
            "--output",
            `type=image,name=${tag},compression=zstd,compression-level=3,oci-mediatypes=true,push=${String(settings.push)}`,
        ],
        ...["--metadata-file", join(scratch, metadata)],
        ".",
    ];
}
