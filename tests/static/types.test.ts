import { it } from "vitest";
import { check } from "./tool";

it("every file is of one mind with TypeScript about its types", () =>
    check("node_modules/.bin/tsc", "--noEmit"));
