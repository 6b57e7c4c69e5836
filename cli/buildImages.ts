import { readFileSync } from "node:fs";
import { join } from "node:path";
import { attestationEnvironment, buildxArguments } from "@carbon/engine";
import { type ImageBuild, imageInputs, suiteImages } from "../catalogue/images";
import type { Settings } from "../settings/parse";
import { buildMetadata, parseDocument } from "./documents";
import { UserError } from "./errors";
import { runInteractively } from "./process";
import { attestations, provideScanner } from "./publish";
import { certificatesFile, withScratch } from "./scratch";
import type { Session } from "./session";

/** File in the scratch folder. */
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
 * everything in the cache; one after the other, as two builds would write over one another in a terminal.
 *
 * @param folders Those to build; both when absent.
 * @throws UserError when a build fails; Docker has shown why.
 */
export async function buildImages(
    settings: Settings,
    session: Session,
    folders: readonly ImageBuild["folder"][] = ["base", "compute"],
): Promise<BuiltImage[]> {
    const { base, compute } = suiteImages(settings);
    return withScratch(settings, async (scratch, certificates) => {
        const scanner = settings.push ? await provideScanner(settings, session, certificates) : undefined;
        const built: BuiltImage[] = [];
        for (const image of [base, compute]) {
            if (image && folders.includes(image.folder)) {
                const command = buildCommand(image, settings, scratch, scanner);
                built.push(await buildImage(image, command, scratch, settings, session));
            }
        }
        return built;
    });
}

async function buildImage(
    image: ImageBuild,
    command: string[],
    scratch: string,
    { push }: Settings,
    session: Session,
): Promise<BuiltImage> {
    const exitCode = await runInteractively("docker", command, {
        cwd: session.project.dir,
        env: attestationEnvironment(push),
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
}

/**
 * Arguments for `docker` that say what the program's image resources say.
 *
 * @param scratch Folder with the certificates, where there are any, and for what buildx reports.
 * @param scanner What writes the bill of materials of an image that is pushed; neither it nor where the image comes from
 *     is told by one that stays here.
 */
export function buildCommand(
    image: ImageBuild,
    settings: Settings,
    scratch: string,
    scanner?: string,
): string[] {
    return [
        ...["buildx", "build", "--metadata-file", join(scratch, metadata)],
        ...(settings.caCertificates ? ["--secret", `id=ca,src=${join(scratch, certificatesFile)}`] : []),
        ...(scanner ? attestations(scanner) : []),
        ...buildxArguments(imageInputs(image, settings)),
    ];
}
