import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { Settings } from "../settings/parse";
import { hasImage } from "./docker";
import { parseDocument } from "./documents";
import { UserError } from "./errors";
import { tagOf } from "./generations";
import { run } from "./process";
import { buildx, scannerArguments } from "./publish";
import { withScratch } from "./scratch";
import type { Session } from "./session";

/** An SPDX document, as far as it is looked into; the rest stays in it. https://spdx.github.io/spdx-spec/v2.3/ */
const spdx = z.looseObject({
    packages: z.array(
        z.looseObject({
            name: z.string(),
            versionInfo: z.string().optional(),
            externalRefs: z
                .array(z.looseObject({ referenceType: z.string(), referenceLocator: z.string() }))
                .optional(),
        }),
    ),
});
export type Bill = z.output<typeof spdx>;

const statement = z.object({ predicate: spdx });
const attested = z.object({ SPDX: spdx });
const byPlatform = z.record(z.string(), attested);

/** A package that a bill lists. */
export interface BilledPackage {
    /** What installed it: `deb`, `pypi`, `npm`, `golang`, … */
    kind: string;
    name: string;
    version: string;
}

const strange = "`./carbon build --push` makes a new one.";

/**
 * The bill of materials of an image: the one that it was pushed with, or else one that is made now.
 *
 * @param ref Reference of the image.
 * @param platform The one whose packages are asked for.
 * @throws UserError where there is neither, or the document has another shape.
 */
export async function readBill(
    session: Session,
    settings: Settings,
    ref: string,
    platform: string,
): Promise<Bill> {
    return (await attestedBill(ref, platform)) ?? (await madeBill(session, settings, ref, platform));
}

/** The bill that the registry has of it; undefined where it has none, or is not asked. */
async function attestedBill(ref: string, platform: string): Promise<Bill | undefined> {
    // No registry has what was only built here.
    if (/^localhost\//.test(ref)) {
        return undefined;
    }
    const { exitCode, stdout } = await run(
        "docker",
        ["buildx", "imagetools", "inspect", ref, "--format", "{{json .SBOM}}"],
        { timeout: 120_000, maxBuffer: 500_000_000 },
    );
    if (exitCode !== 0 || !stdout.trim().startsWith("{")) {
        return undefined;
    }
    const shape = z.union([attested, byPlatform, z.object({}).strict()]);
    const found = parseDocument(`The bill of materials of ${ref}`, shape, stdout, strange);
    const own = attested.safeParse(found);
    return own.success ? own.data.SPDX : byPlatform.safeParse(found).data?.[platform]?.SPDX;
}

async function madeBill(session: Session, settings: Settings, ref: string, platform: string): Promise<Bill> {
    // A builder finds what was built here by its tag.
    const tag = tagOf(ref);
    if (!(await hasImage(tag))) {
        throw new UserError(
            `There is no bill of materials of ${ref}: it was pushed without one, and is not here to be looked at. Type: ./carbon up${session.stackFlag()}`,
        );
    }
    return withScratch(settings, async (scratch, certificates) => {
        const out = join(scratch, "out");
        await buildx(
            session,
            [
                ...scannerArguments(settings, "bill", certificates),
                ...["--build-arg", `IMAGE=${tag}`, "--platform", platform],
                ...["--output", `type=local,dest=${out}`],
            ],
            `The bill of materials of ${tag} could not be made; what went wrong is above.`,
        );
        const [file = ""] = readdirSync(out);
        const text = readFileSync(join(out, file), "utf8");
        return parseDocument(`The bill of materials of ${tag}`, statement, text, strange).predicate;
    });
}

/** The packages of a bill, each once, sorted by kind and name; without what is no package of any kind, such as the image. */
export function packagesOf({ packages }: Bill): BilledPackage[] {
    const found = packages.flatMap(({ name, versionInfo = "", externalRefs = [] }) => {
        const purl = externalRefs.find(({ referenceType }) => referenceType === "purl")?.referenceLocator;
        const [, kind] = /^pkg:([^/]+)\//.exec(purl ?? "") ?? [];
        return kind ? [{ kind, name, version: versionInfo }] : [];
    });
    const unique = new Map(found.map((one) => [`${one.kind} ${one.name} ${one.version}`, one]));
    return [...unique].sort(([one], [other]) => one.localeCompare(other, "en")).map(([, billed]) => billed);
}
