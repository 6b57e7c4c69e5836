import * as docker from "@pulumi/docker";
import * as dockerBuild from "@pulumi/docker-build";
import * as pulumi from "@pulumi/pulumi";
import {
    type BuildMode,
    type ImageBuild,
    imageInputs,
    type Platform,
    partsInputs,
} from "../catalogue/images";

/** Arguments of {@link WorkspaceImage}. */
export interface WorkspaceImageArgs extends ImageBuild, BuildMode {
    /** PEM text that downloads during the build trust; handed over as the build secret `ca`, in no layer. */
    caCertificates?: string;
    /** Reference of a local image that is taken as it is, in place of a build. */
    held?: string;
    /** The image in a registry that is pulled, in place of a build. */
    pulled?: { ref: string; digest: string; platform: Platform };
    /** The image that it starts from; it is built first. */
    base?: WorkspaceImage;
}

/**
 * One of the suite's two images, built for one or several platforms, or pulled for the machine's. Its parts, which need
 * no base, are built into the builder's cache as a resource of their own, beside the base. The image stays when the stack
 * goes down, so that the next `up` need not export it again. One that is held has no resource: it is there.
 */
export class WorkspaceImage extends pulumi.ComponentResource {
    /**
     * The tag, once the image is built. A container that takes it is replaced when what the image is made of changes,
     * and stays when the same is built anew with another digest, as after the builder has lost its cache. Of an image that
     * is pulled, the reference with its digest: a tag that was moved in the registry replaces the container.
     */
    readonly tag: pulumi.Output<string>;
    /** The tag with the digest: `host/folder/name:tag@sha256:…`. */
    readonly ref: pulumi.Output<string>;
    /** Digest of the image (of its index, where there are several platforms). */
    readonly digest: pulumi.Output<string>;
    /** Platforms that it holds. */
    readonly platforms: Platform[];

    constructor(name: string, args: WorkspaceImageArgs, opts?: pulumi.ComponentResourceOptions) {
        super("carbon:components:WorkspaceImage", name, {}, opts);
        this.platforms = args.platforms;
        if (args.held) {
            const [tag = "", digest = ""] = args.held.split("@");
            // One that was pulled has no tag here.
            this.tag = pulumi.output(/:[^/:]+$/.test(tag) ? tag : args.held);
            this.ref = pulumi.output(args.held);
            this.digest = pulumi.output(digest);
            this.registerOutputs({ ref: this.ref, digest: this.digest, platforms: this.platforms });
            return;
        }
        if (args.pulled) {
            const { ref, digest, platform } = args.pulled;
            const pull = new docker.RemoteImage(
                `${name}-image`,
                { name: ref, platform, keepLocally: true },
                { parent: this },
            );
            this.tag = pull.urn.apply(() => ref);
            this.ref = this.tag;
            this.digest = pulumi.output(digest);
            this.platforms = [platform];
            this.registerOutputs({ ref: this.ref, digest: this.digest, platforms: this.platforms });
            return;
        }
        const certificates = {
            secrets: args.caCertificates ? { ca: args.caCertificates } : undefined,
            ignoreSecretsInDiffCalculation: ["ca"],
        };
        const options = { parent: this, retainOnDelete: true };
        const first: pulumi.Resource[] = args.base ? [args.base] : [];
        if (args.parts) {
            const inputs = { ...partsInputs(args, args), ...certificates };
            first.push(new dockerBuild.Image(`${name}-parts-image`, inputs, options));
        }
        const image = new dockerBuild.Image(
            `${name}-image`,
            { ...imageInputs(args, args), ...certificates },
            { ...options, dependsOn: first },
        );
        // Known in a preview, as the URN is; and whatever takes it waits for the image.
        this.tag = image.urn.apply(() => args.tag);
        this.ref = image.ref;
        this.digest = image.digest;
        this.registerOutputs({ ref: this.ref, digest: this.digest, platforms: this.platforms });
    }
}
