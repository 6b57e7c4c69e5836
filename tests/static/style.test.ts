import { it } from "vitest";
import { check } from "./tool";

it("biome finds nothing to format and no lint", () => check("node_modules/.bin/biome", "check", "."));
