import { unlessMissing } from "../docker/calls";
import { EngineError } from "../engine-error";
import { reveal, withoutBookkeeping } from "../values";
import {
    type Context,
    type Driver,
    fields,
    refuseUnhandled,
    replacingDiff,
    text,
    withDefaults,
} from "./driver";
import { ensureImage } from "./pull";

const TYPE = "docker:index/remoteImage:RemoteImage";

/**
 * An image that is pulled. One that is here already is taken, as by the real provider; it stays when the resource goes,
 * which is the one way that is supported.
 */
export const remoteImage: Driver = {
    check(inputs, context) {
        refuseUnhandled(TYPE, inputs, fields("name platform keepLocally"));
        if (inputs.name === undefined || inputs.keepLocally !== true) {
            throw new EngineError(
                `The embedded engine pulls ${TYPE} with a "name" and "keepLocally: true" only (${context.name}).`,
            );
        }
        return withDefaults(inputs, {});
    },
    diff: (old, news) => replacingDiff(old, news, false),
    async create(inputs, context) {
        const plain = reveal(inputs);
        const name = String(plain.name);
        await ensureImage(name, "The image", context, text(plain, "platform"));
        const found = await look(name, context);
        if (!found) {
            throw new EngineError(`The image ${name} was pulled, but the Docker Engine does not have it.`);
        }
        return { id: `${found.imageId}${name}`, outputs: { ...withoutBookkeeping(inputs), ...found } };
    },
    async read(old, context) {
        const found = await look(String(reveal(old.inputs).name), context);
        return found && { ...old.outputs, ...found };
    },
    async delete() {},
};

/** The provider's own outputs (resource_docker_image_funcs.go, determineRepoDigest). */
async function look(
    name: string,
    context: Context,
): Promise<{ imageId: string; repoDigest: string } | undefined> {
    const found = await unlessMissing(() => context.docker().getImage(name).inspect());
    if (!found) {
        return undefined;
    }
    const digests = found.RepoDigests ?? [];
    const [untagged = ""] = name.split(":");
    const own = digests.length > 1 ? digests.find((one) => one.startsWith(untagged)) : undefined;
    return { imageId: found.Id, repoDigest: own ?? digests[0] ?? "" };
}
