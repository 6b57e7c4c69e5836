import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const dockerfile = (image: string) =>
    readFileSync(join(__dirname, `../../../dockerfiles/${image}/Dockerfile`), "utf8");

/** The text of a stage, up to the next one. */
function stage(text: string, name: string): string {
    const [, found] = new RegExp(`^(FROM \\S.* AS ${name}\n(?:(?!FROM ).*\n)*)`, "m").exec(text) ?? [];
    if (!found) {
        throw new Error(`There is no stage ${name}`);
    }
    return found.replace(/^(#.*)?\n/gm, "");
}

it.each(["tools", "node"])("the stage %s is the same in both images, so that it is built once", (name) => {
    expect(stage(dockerfile("compute"), name)).toBe(stage(dockerfile("base"), name));
});

it("parts asks for every stage that the compute image is put together from and that needs no base image", () => {
    const compute = dockerfile("compute");
    const asked = [...stage(compute, "parts").matchAll(/from=([a-z-]+)/g)].map(([, name]) => name);
    const copied = [...stage(compute, "compute").matchAll(/^COPY .*--from=([a-z-]+)/gm)].map(
        ([, name]) => name,
    );
    const light = ["tools", "spark-login", "rootfs"];
    expect(asked.sort()).toEqual(copied.filter((name) => !light.includes(name ?? "")).sort());
});

it("the build contexts have no links, which whoever hashes a context follows: rootfs/*/links names them", () => {
    const found = readdirSync(join(__dirname, "../../../dockerfiles"), {
        recursive: true,
        withFileTypes: true,
    });
    expect(found.filter((entry) => entry.isSymbolicLink()).map(({ name }) => name)).toEqual([]);
});

it("what writes bills of materials is made with the same tools", () => {
    expect(stage(dockerfile("sbom"), "tools")).toBe(stage(dockerfile("base"), "tools"));
});
