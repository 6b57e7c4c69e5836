import { Argument, type Command } from "commander";
import { suiteImages } from "../../catalogue/images";
import type { Settings } from "../../settings/parse";
import { lookUp } from "../../settings/registry";
import { action, type Handler } from "../action";
import { packagesOf, readBill } from "../billOfMaterials";
import { imageRefs } from "../documents";
import { UserError } from "../errors";
import { plural } from "../output";
import type { Session } from "../session";
import { suiteReferences } from "../suiteReferences";
import { renderTable } from "../tables";

/** `carbon sbom`. */
export function addSbom(program: Command): void {
    program
        .command("sbom")
        .description("print the bill of materials of the image that the stack runs; with --json, as SPDX")
        .addArgument(
            new Argument("[image]", "which of the two; that of the workspace when absent").choices([
                "base",
                "compute",
            ]),
        )
        .action(action(sbom));
}

const titles = new Map([
    ["deb", "Debian"],
    ["pypi", "Python"],
]);

const sbom: Handler<unknown> = async (session, _options, [asked]) => {
    const settings = session.settings();
    const name = asked ?? (settings.compute ? "compute" : "base");
    if (name === "compute" && !settings.compute) {
        throw new UserError(
            `The stack ${session.stack} has no compute image (carbon:compute is false). Type: ./carbon sbom base${session.stackFlag()}`,
        );
    }
    const { ref, platforms } = await running(session, name);
    const platform = platforms.includes(settings.machinePlatform)
        ? settings.machinePlatform
        : (platforms[0] ?? settings.machinePlatform);
    const bill = await readBill(session, settings, billed(settings, name, ref, platform), platform);
    const packages = packagesOf(bill);
    const kinds = [...new Set(packages.map(({ kind }) => kind))];
    const count = (kind: string) => packages.filter((one) => one.kind === kind).length;
    const table = renderTable(
        ["Kind", "Package", "Version"],
        packages.map(({ kind, name: title, version }) => [titles.get(kind) ?? kind, title, version]),
        session.width,
    );
    const counts = kinds.map((kind) => `${titles.get(kind) ?? kind} ${count(kind)}`).join(", ");
    session.output.result(
        `${table}\n\n${plural(packages.length, "package")} in ${ref} (${platform}): ${counts}`,
        bill,
    );
};

/** The bill is the index's, and an image for another platform than the machine's is pulled without it. */
function billed(settings: Settings, name: string, ref: string, platform: string): string {
    const { base, compute } = suiteImages(settings);
    const tag = (name === "base" ? base : compute)?.tag;
    const found = settings.images === "pull" && tag ? lookUp(tag) : undefined;
    return found && "platforms" in found && ref.endsWith(`@${found.platforms[platform]?.digest}`)
        ? ref.replace(/@.*/, `@${found.digest}`)
        : ref;
}

/** The image as it was deployed, or as the settings have it where nothing is. */
async function running(session: Session, name: string): Promise<{ ref: string; platforms: string[] }> {
    const settings = session.settings();
    const outputs = await (await session.engine()).outputs(session.request(), { showSecrets: false });
    const deployed = imageRefs.safeParse(outputs?.images).data?.[name];
    if (deployed) {
        return deployed;
    }
    const { base, compute = base } = suiteReferences(settings);
    return { ref: name === "base" ? base : compute, platforms: settings.platforms };
}
