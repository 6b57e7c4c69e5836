import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { baseToolsets } from "../../catalogue/toolsets";
import { PAGE, pinnedPrograms, programsPage, readPrograms } from "../../scripts/programs";
import { baseImage, onlyListed, readImageJson } from "./base-image";

const image = baseImage();
const { toolsets } = readImageJson(image);
const programs = onlyListed ? [] : readPrograms(image, toolsets);

/** The page's rows without their versions, of the toolsets that the image has. */
function namesIn(page: string): string[] {
    const sections = page.split("\n## ").slice(1);
    const here = sections.filter((section) => ["always", ...toolsets].includes(section.split("\n")[0] ?? ""));
    return here
        .flatMap((section) => [...section.matchAll(/^\| ([^|]+) \| [^|]+\d[^|]* \|/gm)])
        .map((row) => row[1] ?? "");
}

describe("the programs of the image", () => {
    const pinned = programs.filter(({ name }) => pinnedPrograms.some((program) => program.name === name));

    it.each(pinned)("$name has the version that the repository pins", ({ name, version }) => {
        expect(version).toBe(pinnedPrograms.find((program) => program.name === name)?.version);
    });

    it("all tell a version", () => {
        expect(programs.filter(({ version }) => !/\d/.test(version))).toEqual([]);
    });

    // The page is of an image with node, which mongosh needs.
    it.runIf(toolsets.includes("node") || !toolsets.includes("databases"))(
        "are those of docs/programs.md",
        () => {
            expect(namesIn(readFileSync(PAGE, "utf8"))).toEqual(namesIn(programsPage(programs)));
        },
    );

    it.runIf(baseToolsets.every((toolset) => toolset === "dotnet" || toolsets.includes(toolset)))(
        "have the pinned versions in docs/programs.md",
        () => {
            const page = readFileSync(PAGE, "utf8");
            for (const { name, version } of pinned) {
                expect(page).toContain(`| ${name} | ${version} |`);
            }
        },
    );
});
