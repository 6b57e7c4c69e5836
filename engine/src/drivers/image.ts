import { existsSync } from "node:fs";
import { isAbsolute, join, normalize, resolve } from "node:path";
import { type Change, diffProps } from "../diff";
import { explain, isNotFound, unlessMissing } from "../docker/errors";
import { EngineError } from "../errors";
import { runProcess } from "../process";
import type { ResourceState } from "../state";
import { hasUnknown, markSecret, type Props, reveal, type Value } from "../values";
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
    builder: fields("name"),
    exports: [{ image: fields("names compression compressionLevel forceCompression ociMediaTypes push") }],
};
const DEFAULTS: Props = {
    load: false,
    network: "default",
    noCache: false,
    pull: false,
    target: "",
    buildOnPreview: true,
};
const EXPORT_DEFAULTS: Props = {
    compression: "gzip",
    compressionLevel: 0,
    danglingNamePrefix: "",
    forceCompression: false,
    ociMediaTypes: false,
    store: true,
};

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
        if (inputs.exports) {
            checked.exports = objects(inputs, "exports").map((entry) => exportDefaults(entry, context));
        }
        refuseMissingFiles(checked, context);
        return markSecret(checked, ["secrets"]);
    },
    diff(old, news, context) {
        const ignored = texts(news, "ignoreSecretsInDiffCalculation");
        const changes = diffProps(
            withoutSecrets(old, news, ignored),
            withoutSecrets(news, old.inputs, ignored),
        );
        return { changes: [...changes, ...contextChange(old, news, context)], deleteBeforeReplace: false };
    },
    async create(inputs, context) {
        return build(inputs, context);
    },
    async update(_old, news, context) {
        return (await build(news, context)).outputs;
    },
    read,
    delete: remove,
};

function dockerfileOf(inputs: Props): Props {
    const context = text((inputs.context ?? {}) as Props, "location") ?? ".";
    const given = text((inputs.dockerfile ?? {}) as Props, "location");
    return { inline: "", location: given ?? normalize(join(context, "Dockerfile")) };
}

function exportDefaults(entry: Props, context: Context): Props {
    if (!entry.image) {
        throw new EngineError(`The embedded engine supports exports of kind "image" only (${context.name}).`);
    }
    return { disabled: false, raw: "", image: { ...EXPORT_DEFAULTS, ...(entry.image as Props) } };
}

/** The folder and Dockerfile as absolute paths. */
function files(inputs: Props, context: Context): { folder: string; dockerfile: string } {
    const at = (path: Value | undefined) =>
        isAbsolute(String(path)) ? String(path) : resolve(context.projectDir, String(path));
    return {
        folder: at((inputs.context as Props | undefined)?.location ?? "."),
        dockerfile: at((inputs.dockerfile as Props).location),
    };
}

function refuseMissingFiles(inputs: Props, context: Context): void {
    if (hasUnknown(inputs.context ?? null) || hasUnknown(inputs.dockerfile ?? null)) {
        return;
    }
    for (const path of Object.values(files(inputs, context))) {
        if (!existsSync(path)) {
            throw new EngineError(`The image ${context.name} cannot be built: ${path} does not exist.`);
        }
    }
}

/** The inputs less the build secrets whose change is to be ignored. */
function withoutSecrets(of: ResourceState | Props, other: ResourceState | Props, ignored: string[]): Props {
    const inputs = inputsOf(of);
    const [mine, theirs] = [inputs, inputsOf(other)].map((p) => (reveal(p.secrets ?? {}) ?? {}) as Props);
    const kept = Object.entries(mine ?? {}).filter(
        ([key]) => !(ignored.includes(key) && key in (theirs ?? {})),
    );
    return {
        ...inputs,
        ...(inputs.secrets === undefined
            ? {}
            : markSecret({ secrets: Object.fromEntries(kept) }, ["secrets"])),
    };
}

function inputsOf(of: ResourceState | Props): Props {
    return typeof of.urn === "string" ? ((of as ResourceState).inputs as Props) : (of as Props);
}

/** A build context that differs from the one that was built. */
function contextChange(old: ResourceState, news: Props, context: Context): Change[] {
    if (hasUnknown(news.context ?? null) || hasUnknown(news.dockerfile ?? null)) {
        return [];
    }
    const { folder, dockerfile } = files(news, context);
    const now = hashBuildContext(folder, dockerfile);
    const before = old.outputs.contextHash;
    return now === before
        ? []
        : [{ path: ["contextHash"], kind: "update", old: before, new: now, replace: false }];
}

async function build(inputs: Props, context: Context): Promise<Created> {
    const plain = reveal(inputs) as Props;
    const { folder, dockerfile } = files(plain, context);
    const contextHash = hashBuildContext(folder, dockerfile);
    const digest = await buildImage(plain, context);
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

/**
 * A pushed image is looked up in its registry, as by the real provider; a local one, which the real provider takes
 * on trust, in the Docker Engine.
 */
async function read(old: ResourceState, context: Context): Promise<Props | undefined> {
    const ref = String(old.outputs.ref ?? "");
    if (!ref) {
        return old.outputs;
    }
    if (isPushed(reveal(old.inputs) as Props)) {
        return (await isInRegistry(ref, context)) ? old.outputs : undefined;
    }
    const found = await unlessMissing(() => context.docker().getImage(ref).inspect());
    return found && old.outputs;
}

/** Only a clear "not found" counts; a registry that does not answer changes nothing. */
async function isInRegistry(ref: string, context: Context): Promise<boolean> {
    const args = ["buildx", "imagetools", "inspect", ref];
    const { succeeded, stderr } = await runProcess("docker", args, {
        env: context.env,
        signal: context.signal,
    });
    return succeeded || !/not found/i.test(stderr);
}

async function remove(old: ResourceState, context: Context): Promise<void> {
    const digest = String(old.outputs.digest ?? "");
    for (const tag of texts(old.outputs, "tags")) {
        try {
            await context
                .docker()
                .getImage(digest ? referenceOf([tag], digest) : tag)
                .remove({ force: true });
        } catch (error) {
            if (!isNotFound(error)) {
                // The image may serve another stack; the real provider ignores it, too.
                context.message(`the image ${tag} stays: ${explain(error)}`);
            }
        }
    }
}
