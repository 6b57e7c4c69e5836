import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseConfigFileTextToJson } from "typescript";
import { expect, it } from "vitest";
import { baseToolsets } from "../../../catalogue/toolsets";

const folder = join(__dirname, "../../../.devcontainer");

it("the clone's development container is the base image with Node and Python", () => {
    const file = join(folder, "devcontainer.json");
    const { config, error } = parseConfigFileTextToJson(file, readFileSync(file, "utf8"));
    expect(error).toBeUndefined();
    const { dockerfile, context, args } = config.build;
    expect([dockerfile, context].every((path) => existsSync(join(folder, path)))).toBe(true);
    const off = baseToolsets.filter((name) => !["node", "python"].includes(name));
    expect(args).toEqual(Object.fromEntries(off.map((name) => [`TOOLSET_${name.toUpperCase()}`, "false"])));
});
