import { describe, expect, it } from "vitest";
import type { Context } from "../../src/drivers/driver";
import { image } from "../../src/drivers/image";
import type { ResourceState } from "../../src/state";

const tag = "docker.io/suite/image:abc";
const built = "sha256:1111";
const rebuilt = "sha256:2222";

/** An engine that holds what is listed, by the name under which it is asked for. */
function engine(images: Record<string, { Id: string; labels?: Record<string, string> }>): Context {
    const inspect = async (name: string) => {
        const found = images[name];
        if (!found) {
            throw Object.assign(new Error("no such image"), { statusCode: 404 });
        }
        return { Id: found.Id, Config: { Labels: found.labels } };
    };
    return { docker: () => ({ getImage: (name: string) => ({ inspect: () => inspect(name) }) }) } as never;
}

function state(labels?: Record<string, string>): ResourceState {
    const inputs = { tags: [tag], exports: [{ image: { names: [tag] } }], ...(labels && { labels }) };
    return { inputs, outputs: { ...inputs, digest: built, ref: `${tag}@${built}` } } as never;
}

const labels = { "suite.content": "abc" };

describe("an image in the Docker Engine", () => {
    it("is as it was where its digest is there", async () => {
        const here = engine({ [`${tag}@${built}`]: { Id: built } });
        expect(await image.read?.(state(labels), here)).toMatchObject({ digest: built });
    });

    it("that was built again with the same labels is taken, with its new digest", async () => {
        const here = engine({ [tag]: { Id: rebuilt, labels: { ...labels, more: "x" } } });
        const read = await image.read?.(state(labels), here);
        expect(read).toMatchObject({ digest: rebuilt, ref: `${tag}@${rebuilt}`, tags: [tag] });
    });

    it.each([
        ["whose tag was moved to another one", labels, { "suite.content": "other" }],
        ["whose tag was moved to one without labels", labels, undefined],
        ["without labels, whose tag was moved", undefined, undefined],
    ])("%s is gone", async (_, wanted, found) => {
        const here = engine({ [tag]: { Id: rebuilt, labels: found } });
        expect(await image.read?.(state(wanted), here)).toBeUndefined();
    });

    it("whose tag is gone is gone", async () => {
        expect(await image.read?.(state(labels), engine({}))).toBeUndefined();
    });
});
