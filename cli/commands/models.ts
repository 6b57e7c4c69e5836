import { type Command, Option } from "commander";
import { memoryLimit } from "../../catalogue/chosen";
import { llm } from "../../catalogue/llm";
import { type CatalogueModel, filesOf, memoryNeeded, modelCatalogue } from "../../catalogue/models";
import { containerName, volumeName } from "../../catalogue/names";
import type { Settings } from "../../settings/parse";
import { action, type Handler } from "../action";
import { confirm, ensureAnswerable } from "../confirm";
import { existingVolumes } from "../docker";
import { exitCodes, messageOf, UserError } from "../errors";
import type { Inventory, Message, ModelOnDisk, Pulled } from "../models/documents";
import { askHelper } from "../models/helper";
import { hubAccess } from "../models/hub";
import { choosePlace, type ModelPlace, type PlaceName, placeNames } from "../models/place";
import { PullProgress } from "../models/progress";
import {
    catalogueFiles,
    catalogueModel,
    ensureDistinct,
    type FileToPull,
    filesToPull,
    renamed,
} from "../models/references";
import { formatBytes } from "../output";
import { printableLine } from "../printable";
import type { Session } from "../session";
import { renderTable } from "../tables";

interface ModelFlags {
    place?: PlaceName;
}

interface PullFlags extends ModelFlags {
    as?: string;
}

/** `carbon models`. */
export function addModels(program: Command): void {
    const command = program
        .command("models")
        .description("list, pull and remove the models that the LLM server serves");
    const place = () =>
        new Option("--place <place>", "where models are kept (default: as carbon:llm says)").choices(
            placeNames,
        );
    command
        .command("list", { isDefault: true })
        .description("show the catalogue, and what is there")
        .addOption(place())
        .action(action(list));
    command
        .command("pull")
        .argument("<model...>", "names of the catalogue, or hf:organisation/repository:file.gguf")
        .description("pull models from Hugging Face's hub; an interrupted pull goes on where it was")
        .option("--as <name>", "name for the file, such as my-model.gguf")
        .addOption(place())
        .action(action(pull));
    command
        .command("remove")
        .argument("<model...>", "names as `carbon models list` shows them")
        .description("remove models, and parts of them")
        .addOption(place())
        .action(action(remove));
}

const list: Handler<ModelFlags> = async (session, flags) => {
    const settings = session.settings();
    const place = await choosePlace(session, settings, flags.place).catch((error: unknown) => {
        // The catalogue is there without the image, and without Docker.
        session.output.warn(`What is there cannot be seen. ${messageOf(error)}`);
        return undefined;
    });
    const found = place && (await takeInventory(session, place));
    const served = found?.models.length ? ((await place?.served()) ?? []) : [];
    const files = found?.models ?? [];
    const known = modelCatalogue.map((model) => describeKnown(model, files, served));
    const others = files.filter(({ name }) => !known.some((model) => model.names.includes(name)));
    session.output.result(
        [
            modelTable(known, others, served, session.width),
            ...(found && place
                ? [
                      "",
                      `In ${place.words}; ${formatBytes(found.free)} free. Memory: about, with a context of 4096 tokens.`,
                  ]
                : []),
        ].join("\n"),
        {
            place: place && { kind: place.kind, words: place.words, free: found?.free },
            models: known.map(({ names: _, ...model }) => model),
            others: others.map((file) => ({ ...file, served: isServed(file.name, served) })),
        },
    );
};

/** A model of the catalogue, and what is there of it. */
function describeKnown(model: CatalogueModel, files: readonly ModelOnDisk[], served: readonly string[]) {
    const wanted = catalogueFiles(model);
    const there = files.filter(({ name }) => wanted.some((file) => file.name === name));
    const bytes = filesOf(model).reduce((sum, file) => sum + file.bytes, 0);
    const here = there.reduce((sum, file) => sum + file.bytes, 0);
    const complete = there.length === wanted.length && there.every((file) => file.complete);
    const { name, title, kind, repository, licence } = model;
    return {
        name,
        title,
        kind,
        repository,
        licence,
        bytes,
        memory: memoryNeeded(model),
        state: complete
            ? ("complete" as const)
            : there.length > 0
              ? ("partial" as const)
              : ("absent" as const),
        bytesHere: here,
        files: there,
        served: isServed(wanted[0]?.name ?? "", served),
        names: wanted.map((file) => file.name),
    };
}

type KnownModel = ReturnType<typeof describeKnown>;

/** The server has a name of its own for a file: its path, or what comes before its ending. */
function isServed(name: string, served: readonly string[]): boolean {
    return served.some((id) => [name, name.replace(/\.gguf$/, "")].includes(id.replace(/^.*\//, "")));
}

function modelTable(
    known: readonly KnownModel[],
    others: readonly ModelOnDisk[],
    served: readonly string[],
    width?: number,
): string {
    const rows = known.map((model) => [
        model.name,
        model.kind,
        formatBytes(model.bytes),
        formatBytes(model.memory),
        model.licence,
        model.served ? "served" : stateOf(model.state === "complete", model.bytesHere, model.bytes),
        model.title,
    ]);
    const more = others.map((file) => [
        file.name,
        "-",
        formatBytes(file.total ?? file.bytes),
        "-",
        "-",
        isServed(file.name, served) ? "served" : stateOf(file.complete, file.bytes, file.total ?? file.bytes),
        describeOther(file),
    ]);
    return renderTable(["Model", "For", "Size", "Memory", "Licence", "There", ""], [...rows, ...more], width);
}

function stateOf(complete: boolean, here: number, bytes: number): string {
    return complete ? "yes" : here > 0 ? `${Math.floor((100 * here) / Math.max(bytes, 1))} %` : "-";
}

function describeOther({ kind, repo, file }: ModelOnDisk): string {
    if (kind !== "file") {
        return kind === "link" ? "a link, which no server follows" : "a folder or a device";
    }
    return repo && file ? `hf:${repo}:${file}` : "";
}

const pull: Handler<PullFlags> = async (session, flags, models) => {
    const named = models.flatMap(filesToPull);
    const files = flags.as === undefined ? named : renamed(named, flags.as);
    ensureDistinct(files);
    const settings = session.settings();
    const place = await choosePlace(session, settings, flags.place);
    const { endpoint, environment, ...access } = await hubAccess(session, settings);
    session.output.note(`From ${new URL(endpoint).host} into ${place.words}.`);
    if (place.kind === "volume") {
        warnOfMemory(session, settings, models);
    }
    const pulled = await pullFiles(session, place, {
        ...access,
        endpoint: place.reachable(endpoint),
        environment: place.kind === "host" ? {} : environment,
        files,
    });
    const advice = await servingAdvice(session, settings, place, files);
    session.output.result(
        [...pulled.map(({ name, fresh, bytes }) => describePulled(name, fresh, bytes)), ...advice].join("\n"),
        { place: { kind: place.kind, words: place.words }, pulled },
    );
};

function describePulled(name: string, fresh: boolean, bytes: number): string {
    return `${printableLine(name)}: ${fresh ? "pulled and verified" : "is there, as the hub has it"} (${formatBytes(bytes)}).`;
}

async function pullFiles(session: Session, place: ModelPlace, request: object): Promise<Pulled> {
    const progress = new PullProgress(session.output);
    let pulled: Pulled = [];
    const onMessage = (message: Message) => {
        if ("pulled" in message) {
            pulled = message.pulled;
        } else if ("progress" in message || "pulling" in message || "verifying" in message) {
            progress.show(message);
        }
    };
    const { signal } = session;
    try {
        await askHelper(
            place.command,
            { action: "pull", folder: place.folder, ...request },
            { signal, onMessage },
        );
    } finally {
        progress.end();
        if (signal.aborted) {
            session.output.warn("What has come is kept; the same command goes on from there.");
        }
    }
    return pulled;
}

/** The service is ended where it takes more than it may. */
function warnOfMemory(session: Session, settings: Settings, models: readonly string[]): void {
    const limit = memoryLimit(llm, settings) * 1024 * 1024;
    for (const model of models.map(catalogueModel)) {
        if (model && memoryNeeded(model) > limit) {
            session.output.warn(
                `${model.name} takes about ${formatBytes(memoryNeeded(model))} of memory, and the service llm may use ` +
                    `${formatBytes(limit)}. carbon:serviceMemory raises the limit.`,
            );
        }
    }
}

/** What is to be done before the new model answers. */
async function servingAdvice(
    session: Session,
    settings: Settings,
    place: ModelPlace,
    files: readonly FileToPull[],
): Promise<string[]> {
    const [name = ""] = files.map((file) => file.name).filter((name) => !name.startsWith("mmproj"));
    const up = `./carbon up${session.stackFlag()}`;
    const isHost = place.kind === "host";
    if (!isHost && !settings.services.some((service) => service.name === llm.name)) {
        return [`Nothing serves it yet: add llm to carbon:services, and type: ${up}`];
    }
    const served = await place.served();
    if (!served && isHost) {
        return [
            "The server on this machine sees it within seconds; ./carbon gpu status tells whether it runs.",
        ];
    }
    if (!served || served.length === 0 || isServed(name, served)) {
        return [];
    }
    const serving = `${isHost ? "The server on this machine" : "The service llm"} serves ${served.map(printableLine).join(", ")}.`;
    if (settings.llmModel !== name) {
        return [`${serving} To have ${name} instead, set carbon:llmModel to it, and type: ${up}`];
    }
    return isHost
        ? [serving]
        : [
              `${serving} It takes ${name} at its next start: docker restart ${containerName(session.stack, llm.name)}`,
          ];
}

const remove: Handler<ModelFlags> = async (session, flags, models) => {
    ensureAnswerable(session, "models remove");
    const settings = session.settings();
    const place = await choosePlace(session, settings, flags.place);
    const { models: there } = await takeInventory(session, place);
    const files = [...new Set(models.flatMap((model) => filesToRemove(model, there, place)))];
    const bytes = there.filter(({ name }) => files.includes(name)).reduce((sum, file) => sum + file.bytes, 0);
    await confirm(session, `Remove ${files.join(", ")} (${formatBytes(bytes)}) from ${place.words}?`);
    let removed: string[] = [];
    const onMessage = (message: Message) => {
        removed = "removed" in message ? message.removed : removed;
    };
    const { signal } = session;
    const request = { action: "remove", folder: place.folder, names: files };
    await askHelper(place.command, request, { signal, onMessage });
    const served = (await place.served()) ?? [];
    // The server on this machine lets go of a file that is gone.
    const still = place.kind === "volume" ? removed.filter((name) => isServed(name, served)) : [];
    session.output.result(
        [
            `Removed: ${removed.map(printableLine).join(", ")}`,
            ...(still.length > 0
                ? [
                      `The service llm serves ${still.map(printableLine).join(", ")} until its next start: docker restart ` +
                          containerName(session.stack, llm.name),
                  ]
                : []),
        ].join("\n"),
        { place: { kind: place.kind, words: place.words }, removed },
    );
};

/** @throws UserError listing what there is. */
function filesToRemove(model: string, there: readonly ModelOnDisk[], place: ModelPlace): string[] {
    const known = catalogueModel(model);
    const [repo = "", file = ""] = model.startsWith("hf:") ? model.slice(3).split(":") : [];
    const wanted = known ? catalogueFiles(known).map(({ name }) => name) : [model];
    const found = there.filter(
        (one) => wanted.includes(one.name) || (one.repo === repo && one.file === file && file !== ""),
    );
    if (found.length === 0) {
        const names = there.map(({ name }) => name);
        throw new UserError(
            `There is no ${model} in ${place.words}. ${names.length > 0 ? `It has: ${names.join(", ")}.` : "It is empty."}`,
            exitCodes.usage,
        );
    }
    return found.map(({ name }) => name);
}

/** What is there. A volume that does not exist is not made by a look at it. */
async function takeInventory(session: Session, place: ModelPlace): Promise<Inventory> {
    let found: Inventory = { models: [], free: 0 };
    const isMissing =
        place.kind === "volume" &&
        (await existingVolumes([volumeName(session.stack, llm.name)])).length === 0;
    if (!isMissing) {
        const onMessage = (message: Message) => {
            found = "models" in message ? message : found;
        };
        const { signal } = session;
        await askHelper(place.command, { action: "list", folder: place.folder }, { signal, onMessage });
    }
    return found;
}
