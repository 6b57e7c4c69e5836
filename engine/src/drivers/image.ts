import { existsSync } from "node:fs";
import { join, normalize, resolve } from "node:path";
import { type Change, diffProps } from "../diff";
import { unlessMissing } from "../docker/calls";
import { EngineError, messageOf } from "../engine-error";
import { runProcess } from "../run-process";
import type { ResourceState } from "../state";
import { hasUnknown, markSecret, type Props, reveal, Secret, type Value } from "../values";
import { buildImage, isPushed } from "./buildx";
import { hashBuildContext } from "./context-hash";
import {
    type Context,
    type Created,
    type Driver,
    fields,
    objects,
    refuseUnhandled,
    type Shape,
    text,
    texts,
} from "./driver";

const TYPE = "docker-build:index:Image";
const SHAPE: Shape = {
    ...fields("buildArgs buildOnPreview exec ignoreSecretsInDiffCalculation labels network platforms push"),
    ...fields("secrets tags target"),
    context: fields("location"),
    dockerfile: fields("location"),
    cacheFrom: [{ registry: fields("ref") }],
    cacheTo: [{ registry: fields("ref mode") }],
    builder: fields("name"),
    exports: [
        {
            image: fields("names compression compressionLevel forceCompression ociMediaTypes push"),
            cacheonly: {},
        },
    ],
};
const DEFAULTS: Props = {
    load: false,
    network: "default",
    noCache: false,
    pull: false,
    target: "",
    buildOnPreview: true,
};
const CACHE_DEFAULTS: Props = { disabled: false, raw: "" };
const CACHE_EXPORT_DEFAULTS: Props = {
    compression: "gzip",
    compressionLevel: 0,
    forceCompression: false,
    ignoreError: false,
    imageManifest: false,
    mode: "min",
    ociMediaTypes: true,
};
const EXPORT_DEFAULTS: Props = {
    compression: "gzip",
    compressionLevel: 0,
    danglingNamePrefix: "",
    forceCompression: false,
    ociMediaTypes: false,
    store: true,
};

/**
 * Labels of this kind say what is in an image. Where the Docker Engine has one with the same tag and the same such label,
 * it is taken for the image that is asked for: nothing is built, whatever the builder has forgotten, and another build's
 * digest is no difference. Nor are parts of it built that end in the builder's cache.
 */
const CONTENT_LABEL = /(^|\.)content$/;

/** An image built by `docker buildx build`; built again, not replaced, when its inputs or its context change. */
export const image: Driver = {
    changingOutputs: ["ref", "digest", "contextHash"],
    check(inputs, context) {
        refuseUnhandled(TYPE, inputs, SHAPE);
        if (inputs.exec !== true || !text((inputs.builder ?? {}) as Props, "name")) {
            throw new EngineError(
                `The embedded engine builds ${TYPE} with "exec: true" and "builder: { name }" only (${context.name}).`,
            );
        }
        const checked: Props = { ...DEFAULTS, ...inputs, dockerfile: dockerfileOf(inputs) };
        if (inputs.cacheFrom) {
            checked.cacheFrom = objects(inputs, "cacheFrom").map((entry) => ({
                ...CACHE_DEFAULTS,
                ...entry,
            }));
        }
        if (inputs.cacheTo) {
            checked.cacheTo = objects(inputs, "cacheTo").map(({ registry }) => ({
                ...CACHE_DEFAULTS,
                registry: { ...CACHE_EXPORT_DEFAULTS, ...(registry as Props) },
            }));
        }
        if (inputs.exports) {
            checked.exports = objects(inputs, "exports").map((entry) => exportDefaults(entry, context));
        }
        const needed = hasFiles(checked) ? Object.values(files(checked, context)) : [];
        const missing = needed.find((path) => !existsSync(path));
        if (missing) {
            throw new EngineError(`The image ${context.name} cannot be built: ${missing} does not exist.`);
        }
        return markSecret(checked, ["secrets"]);
    },
    diff(old, news, context) {
        const changes = diffProps(old.inputs, withIgnoredSecrets(old.inputs, news));
        return { changes: [...changes, ...contextChange(old, news, context)], deleteBeforeReplace: false };
    },
    create: build,
    update: async (_old, news, context) => (await build(news, context)).outputs,
    read,
    delete: remove,
};

function dockerfileOf(inputs: Props): Props {
    const context = text((inputs.context ?? {}) as Props, "location") ?? ".";
    const given = text((inputs.dockerfile ?? {}) as Props, "location");
    return { inline: "", location: given ?? normalize(join(context, "Dockerfile")) };
}

function exportDefaults(entry: Props, context: Context): Props {
    const { image, cacheonly } = entry;
    if ((image === undefined) === (cacheonly === undefined)) {
        throw new EngineError(
            `The embedded engine supports exports of the kinds "image" and "cacheonly", one in each (${context.name}).`,
        );
    }
    const kind: Props = image ? { image: { ...EXPORT_DEFAULTS, ...(image as Props) } } : { cacheonly: {} };
    return { disabled: false, raw: "", ...kind };
}

/** The folder and Dockerfile as absolute paths. */
function files(inputs: Props, context: Context): { folder: string; dockerfile: string } {
    const at = (path: Value | undefined) => resolve(context.projectDir, String(path));
    return {
        folder: at((inputs.context as Props | undefined)?.location ?? "."),
        dockerfile: at((inputs.dockerfile as Props).location),
    };
}

/** Whether a preview can tell where the files are. */
function hasFiles(inputs: Props): boolean {
    return !hasUnknown([inputs.context ?? null, inputs.dockerfile ?? null]);
}

/** The new inputs, with the old value of each build secret whose change is to be ignored. */
function withIgnoredSecrets(olds: Props, news: Props): Props {
    const secretsOf = (inputs: Props) => (reveal(inputs.secrets ?? null) ?? {}) as Props;
    const now = secretsOf(news);
    const ignored = texts(news, "ignoreSecretsInDiffCalculation").filter((key) => key in now);
    const kept = Object.entries(secretsOf(olds)).filter(([key]) => ignored.includes(key));
    return news.secrets ? { ...news, secrets: new Secret({ ...now, ...Object.fromEntries(kept) }) } : news;
}

function hashFiles(inputs: Props, context: Context): string {
    const { folder, dockerfile } = files(inputs, context);
    return hashBuildContext(folder, dockerfile);
}

/** A build context that differs from the one that was built. */
function contextChange(old: ResourceState, news: Props, context: Context): Change[] {
    const before = { contextHash: old.outputs.contextHash ?? null };
    return hasFiles(news) ? diffProps(before, { contextHash: hashFiles(news, context) }) : [];
}

async function build(inputs: Props, context: Context): Promise<Created> {
    const plain = reveal(inputs);
    const contextHash = hashFiles(plain, context);
    const there = await sameContent(plain, context);
    const digest = there ? (leavesImage(plain) ? there : "") : await buildImage(plain, context);
    const ref = referenceOf(texts(plain, "tags"), digest);
    return { id: digest || context.name, outputs: { ...inputs, contextHash, digest, ref } };
}

/** The first fully qualified tag with the digest behind it; without a digest the first tag as it is. */
function referenceOf(tags: string[], digest: string): string {
    const qualified = tags.find((tag) => /^[^/]+[.:][^/]*\/|^localhost\//.test(tag));
    if (!digest || !qualified) {
        return tags[0] ?? "";
    }
    const tagged = /:[^/]+$/.test(qualified) ? qualified : `${qualified}:latest`;
    return `${tagged}@${digest}`;
}

/** The digest of the image that has the content asked for, as its label says, where the Docker Engine has one. */
async function sameContent(inputs: Props, context: Context): Promise<string | undefined> {
    const labels = Object.entries((inputs.labels ?? {}) as Props)
        .filter(([name]) => CONTENT_LABEL.test(name))
        .map(([name, value]) => `${name}=${value}`);
    if (labels.length === 0 || isPushed(inputs)) {
        return undefined;
    }
    const found = await context.docker().listImages({ filters: JSON.stringify({ label: labels }) });
    const [tag] = texts(inputs, "tags");
    // Docker lists images of Docker Hub by their short names.
    const short = (name: string) => name.replace(/^docker\.io\//, "");
    return found.find(({ RepoTags }) => !tag || RepoTags?.map(short).includes(short(tag)))?.Id;
}

/** False where the build only filled the builder's cache. */
function leavesImage(inputs: Props): boolean {
    return inputs.push === true || objects(inputs, "exports").some(({ image }) => image !== undefined);
}

/**
 * A pushed image is looked up in its registry, as by the real provider; a local one, which the real provider takes
 * on trust, in the Docker Engine. There, one of the same content is the image, too: another stack may have built it, and
 * come to another digest.
 */
async function read(old: ResourceState, context: Context): Promise<Props | undefined> {
    const ref = String(old.outputs.ref ?? "");
    if (!ref || !leavesImage(old.inputs)) {
        return old.outputs;
    }
    if (isPushed(reveal(old.inputs))) {
        return (await isInRegistry(ref, context)) ? old.outputs : undefined;
    }
    if (await unlessMissing(() => context.docker().getImage(ref).inspect())) {
        return old.outputs;
    }
    const digest = await sameContent(old.inputs, context);
    return digest === undefined
        ? undefined
        : { ...old.outputs, digest, ref: referenceOf(texts(old.outputs, "tags"), digest) };
}

/** Only a clear "not found" counts; a registry that does not answer changes nothing. */
async function isInRegistry(ref: string, context: Context): Promise<boolean> {
    const args = ["buildx", "imagetools", "inspect", ref];
    const { exitCode, stderr } = await runProcess("docker", args, {
        env: context.env,
        cancelSignal: context.signal,
    });
    return exitCode === 0 || !/not found/i.test(stderr);
}

async function remove(old: ResourceState, context: Context): Promise<void> {
    const digest = String(old.outputs.digest ?? "");
    for (const tag of leavesImage(old.inputs) ? texts(old.outputs, "tags") : []) {
        const doomed = context.docker().getImage(digest ? referenceOf([tag], digest) : tag);
        try {
            await unlessMissing(() => doomed.remove({ force: true }));
        } catch (error) {
            // The image may serve another stack; the real provider ignores it, too.
            context.message(`the image ${tag} stays: ${messageOf(error)}`);
        }
    }
}
