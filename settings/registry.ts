import { execFileSync } from "node:child_process";
import { z } from "zod";

/** An image of one platform, as a registry or the Docker Engine has it. */
export interface PlatformImage {
    /** Digest of the platform's own manifest. */
    digest: string;
    labels: Record<string, string>;
}

/** An image under a tag or a digest. */
export interface FoundImage {
    /** Digest of the whole: of the index, where there are several platforms. */
    digest: string;
    /** By platform, such as `linux/arm64`. */
    platforms: Record<string, PlatformImage>;
}

/** Why there is none: it is not there, the registry wants another login, or it did not answer at all. */
export interface MissingImage {
    why: "missing" | "denied" | "silent";
    /** Docker's own words, printable and on one line. */
    words: string;
}

const labels = z.object({
    config: z.object({ Labels: z.record(z.string(), z.string()).nullish() }).nullish(),
});
const sha256 = z.string().regex(/^sha256:[0-9a-f]{64}$/);
const one = labels.extend({ os: z.string(), architecture: z.string() });
const platform = z.object({ os: z.string(), architecture: z.string() });
const document = z.object({
    manifest: z.object({
        digest: sha256,
        manifests: z.array(z.object({ digest: sha256, platform: platform.nullish() })).nullish(),
    }),
    image: z.union([one, z.record(z.string(), labels)]),
});

const format = '{"manifest":{{json .Manifest}},"image":{{json .Image}}}';

/**
 * Looks an image up in its registry, with the logins that `docker login` has left. Nothing is pulled.
 *
 * @param reference With a tag or a digest.
 */
export function lookUp(reference: string): FoundImage | MissingImage {
    const { output, error } = docker("buildx", "imagetools", "inspect", reference, "--format", format);
    if (output === undefined) {
        return { why: whyMissing(error), words: error };
    }
    const parsed = document.safeParse(parseJson(output));
    return parsed.success
        ? found(parsed.data)
        : { why: "silent", words: "it says something else than an image" };
}

function found({ manifest, image }: z.output<typeof document>): FoundImage {
    const { digest, manifests } = manifest;
    const alone = one.safeParse(image);
    if (alone.success) {
        const { os, architecture, config } = alone.data;
        return { digest, platforms: { [`${os}/${architecture}`]: { digest, labels: config?.Labels ?? {} } } };
    }
    const platforms = (manifests ?? []).flatMap((one) => {
        const name = `${one.platform?.os}/${one.platform?.architecture}`;
        const config = (image as Record<string, z.output<typeof labels>>)[name]?.config;
        return config === undefined
            ? []
            : [[name, { digest: one.digest, labels: config?.Labels ?? {} }] as const];
    });
    return { digest, platforms: Object.fromEntries(platforms) };
}

const local = z.tuple([
    z.object({
        Id: z.string(),
        Os: z.string(),
        Architecture: z.string(),
        Config: z.object({ Labels: z.record(z.string(), z.string()).nullish() }).nullish(),
    }),
]);

/** The same of the Docker Engine, for a reference with a digest; undefined where it is not here. */
export function lookUpHere(reference: string): FoundImage | undefined {
    const { output } = docker("image", "inspect", reference);
    const parsed = local.safeParse(parseJson(output ?? ""));
    if (!parsed.success) {
        return undefined;
    }
    const [{ Os, Architecture, Config }] = parsed.data;
    const digest = reference.replace(/^.*@/, "");
    return { digest, platforms: { [`${Os}/${Architecture}`]: { digest, labels: Config?.Labels ?? {} } } };
}

function whyMissing(words: string): MissingImage["why"] {
    // Docker's helper for logins is not found, or does not work: nothing was asked.
    if (/getting credentials|docker-credential-/i.test(words)) {
        return "denied";
    }
    if (/not found|manifest unknown|name unknown/i.test(words) && !/lookup|no such host/i.test(words)) {
        return "missing";
    }
    return /denied|unauthorized|authoriz|forbidden|\b40[13]\b/i.test(words) ? "denied" : "silent";
}

function parseJson(text: string): unknown {
    try {
        return JSON.parse(text);
    } catch {
        return undefined;
    }
}

/** What the program prints, or else its last words. */
function docker(...args: string[]): { output?: string; error: string } {
    try {
        const options = { encoding: "utf8", stdio: "pipe", timeout: 60_000, maxBuffer: 50_000_000 } as const;
        return { output: execFileSync("docker", args, options), error: "" };
    } catch (error) {
        const { code, stderr } = error as { code?: string; stderr?: string };
        const last =
            String(stderr ?? "")
                .trim()
                .split("\n")
                .at(-1) ?? "";
        const words = code === "ENOENT" ? "docker is not installed" : last || "it took too long";
        return { error: plain(words.replace(/^ERROR: /, "")) };
    }
}

/** A registry may answer with whatever it likes. */
export function plain(words: string): string {
    return words.replace(/[^ -~]+/g, "?").slice(0, 300);
}
