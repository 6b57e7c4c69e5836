import { describe, expect, it } from "vitest";
import type { Context } from "../../src/drivers/driver";
import { image } from "../../src/drivers/image";
import type { ResourceState } from "../../src/state";
import type { Props } from "../../src/values";

const tag = "docker.io/suite/image:abc";
const built = "sha256:1111";
const rebuilt = "sha256:2222";
const labels = { "suite.content": "abc" };

interface Held {
    Id: string;
    RepoTags: string[];
    Labels?: Record<string, string>;
}

/** A Docker Engine that holds these images. */
function engine(...images: Held[]): Context {
    const inspect = async (name: string) => {
        const found = images.find(({ Id }) => name.endsWith(`@${Id}`));
        if (!found) {
            throw Object.assign(new Error("no such image"), { statusCode: 404 });
        }
        return found;
    };
    const listImages = async ({ filters }: { filters: string }) => {
        const wanted: string[] = JSON.parse(filters).label;
        return images.filter(({ Labels = {} }) =>
            wanted.every((label) =>
                Object.entries(Labels)
                    .map((pair) => pair.join("="))
                    .includes(label),
            ),
        );
    };
    return {
        name: "image",
        projectDir: __dirname,
        env: { PATH: "/nowhere" },
        docker: () => ({ getImage: (name: string) => ({ inspect: () => inspect(name) }), listImages }),
        progress: () => {},
    } as never;
}

function inputs(labels?: Props, exported: Props = { image: { names: [tag] } }): Props {
    return {
        context: { location: "." },
        dockerfile: { location: "image.test.ts" },
        tags: [tag],
        exports: [exported],
        ...(labels && { labels }),
    };
}

function state(labels?: Props): ResourceState {
    return {
        inputs: inputs(labels),
        outputs: { tags: [tag], digest: built, ref: `${tag}@${built}` },
    } as never;
}

const shared = { Id: rebuilt, RepoTags: ["suite/image:abc"] };

describe("an image in the Docker Engine", () => {
    it("is as it was where its digest is there", async () => {
        expect(await image.read?.(state(), engine({ ...shared, Id: built }))).toMatchObject({
            digest: built,
        });
    });

    it("that was built again with the same content is taken, with its new digest", async () => {
        const here = engine({ ...shared, Labels: { ...labels, more: "x" } });
        const read = await image.read?.(state(labels), here);
        expect(read).toMatchObject({ digest: rebuilt, ref: `${tag}@${rebuilt}`, tags: [tag] });
    });

    it.each([
        ["whose tag was moved to one of other content", labels, { "suite.content": "other" }],
        ["whose tag was moved to one without labels", labels, undefined],
        [
            "that says nothing of its content, and whose tag was moved",
            { "suite.name": "a" },
            { "suite.name": "a" },
        ],
        ["without labels, whose tag was moved", undefined, undefined],
    ])("%s is gone", async (_, wanted, found) => {
        expect(await image.read?.(state(wanted), engine({ ...shared, Labels: found }))).toBeUndefined();
    });

    it("of the same content under another tag only is gone", async () => {
        const other = { ...shared, RepoTags: ["suite/image:old"], Labels: labels };
        expect(await image.read?.(state(labels), engine(other))).toBeUndefined();
    });

    it("is not built where one of the same content is there", async () => {
        const created = await image.create(inputs(labels), engine({ ...shared, Labels: labels }));
        expect(created).toMatchObject({ id: rebuilt, outputs: { ref: `${tag}@${rebuilt}` } });
    });

    it("has no parts built for the builder's cache where it is there", async () => {
        const { tags: _, ...parts } = inputs(labels, { cacheonly: {} });
        const created = await image.create(parts, engine({ ...shared, Labels: labels }));
        expect(created).toMatchObject({ id: "image", outputs: { digest: "", ref: "" } });
    });

    it.each([
        ["is not there", engine()],
        ["is of other content", engine({ ...shared, Labels: { "suite.content": "other" } })],
    ])("is built where it %s", async (_, here) => {
        await expect(image.create(inputs(labels), here)).rejects.toThrow("docker");
    });

    it("is built where it is to be pushed", async () => {
        const pushed = inputs(labels, { image: { names: [tag], push: true } });
        await expect(image.create(pushed, engine({ ...shared, Labels: labels }))).rejects.toThrow("docker");
    });
});
