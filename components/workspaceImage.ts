import * as dockerBuild from "@pulumi/docker-build";
import * as pulumi from "@pulumi/pulumi";
import type { ImageBuild } from "../catalogue/images";
import type { Platform } from "../settings";

/** Arguments of {@link WorkspaceImage}. */
export interface WorkspaceImageArgs extends ImageBuild<pulumi.Output<string>> {
    platforms: Platform[];
    /** Name of the buildx builder. */
    builder: string;
    /** Push the result to its registry. */
    push: boolean;
    /** PEM text that downloads during the build trust; handed over as the build secret `ca`, in no layer. */
    caCertificates?: string;
}

/**
 * One of the suite's two images, built for one or several platforms. A container that takes `ref` for its image
 * is replaced when, and only when, the image's content changes. The image stays when the stack goes down, so
 * that the next `up` need not export it again.
 */
export class WorkspaceImage extends pulumi.ComponentResource {
    /** The tag with the digest: `host/folder/name:tag@sha256:…`. */
    readonly ref: pulumi.Output<string>;
    /** Digest of the image (of its index, where there are several platforms). */
    readonly digest: pulumi.Output<string>;
    /** Platforms that it holds. */
    readonly platforms: Platform[];

    constructor(name: string, args: WorkspaceImageArgs, opts?: pulumi.ComponentResourceOptions) {
        super("carbon:components:WorkspaceImage", name, {}, opts);
        const image = new dockerBuild.Image(
            `${name}-image`,
            {
                context: { location: "." },
                dockerfile: { location: `dockerfiles/${args.folder}/Dockerfile` },
                buildArgs: args.buildArgs,
                platforms: args.platforms,
                tags: [args.tag],
                // The daemon's own builder sees local images and has nothing to load afterwards.
                exec: true,
                builder: { name: args.builder },
                push: false,
                // zstd: exporting a large layer takes a quarter of the time that gzip takes.
                exports: [
                    {
                        image: {
                            names: [args.tag],
                            compression: "zstd",
                            ociMediaTypes: true,
                            push: args.push,
                        },
                    },
                ],
                secrets: args.caCertificates ? { ca: args.caCertificates } : undefined,
                ignoreSecretsInDiffCalculation: ["ca"],
                buildOnPreview: false,
            },
            { parent: this, retainOnDelete: true },
        );
        this.ref = image.ref;
        this.digest = image.digest;
        this.platforms = args.platforms;
        this.registerOutputs({ ref: this.ref, digest: this.digest, platforms: this.platforms });
    }
}
