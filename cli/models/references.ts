import { basename } from "node:path/posix";
import { type CatalogueModel, filesOf, modelCatalogue, projectorName } from "../../catalogue/models";
import { exitCodes, UserError } from "../errors";
import { findName } from "../names";

/** A file to pull, as `models.py` takes it. */
export interface FileToPull {
    repo: string;
    /** Where it lies in the repository. */
    file: string;
    /** What it is called where the models are kept. */
    name: string;
    /** The newest where absent. */
    revision?: string;
    /** Bytes, as far as they are known. */
    bytes?: number;
    sha256?: string;
}

const repositoryPart = /^[A-Za-z0-9](?:[\w.-]{0,94}[\w])?$/;
const pathPart = /^[A-Za-z0-9][\w.+-]{0,149}$/;
/** Models that are too large for one file come in several, of which llama.cpp is given the first. */
const piece = /-\d{5}-of-(\d{5})\.gguf$/;
const mostPieces = 100;

/** The entry of the catalogue with this name. */
export function catalogueModel(name: string): CatalogueModel | undefined {
    const found = findName(
        modelCatalogue.map((model) => model.name),
        name,
    );
    return modelCatalogue.find((model) => model.name === found);
}

/** A model's files, under the names that they have where models are kept. */
export function catalogueFiles(model: CatalogueModel): FileToPull[] {
    const own = basename(model.model.file);
    return filesOf(model).map(({ file, bytes, sha256 }) => ({
        repo: model.repository,
        revision: model.revision,
        file,
        name: file === model.model.file ? own : projectorName(own),
        bytes,
        sha256,
    }));
}

/**
 * The files that a user means: by the name of the catalogue, or by their place on the hub.
 *
 * @throws UserError saying what is allowed.
 */
export function filesToPull(reference: string): FileToPull[] {
    if (reference.startsWith("hf:")) {
        return filesOnHub(reference);
    }
    const model = catalogueModel(reference);
    if (!model) {
        throw new UserError(
            `There is no model ${shortened(reference)} in the catalogue. Allowed: ${modelCatalogue
                .map(({ name }) => name)
                .join(", ")}, or hf:organisation/repository:file.gguf.`,
            exitCodes.usage,
        );
    }
    return catalogueFiles(model);
}

function filesOnHub(reference: string): FileToPull[] {
    const [, organisation = "", repository = "", file = ""] =
        /^hf:([^/:]*)\/([^/:]*):(.*)$/s.exec(reference) ?? [];
    const isRepository = [organisation, repository].every(
        (part) => repositoryPart.test(part) && !/--|\.\./.test(part),
    );
    if (!isRepository || !file.endsWith(".gguf") || !file.split("/").every((part) => pathPart.test(part))) {
        throw new UserError(
            `${shortened(reference)} is no file on the hub. Allowed: hf:organisation/repository:file.gguf, with letters, ` +
                "digits, _, ., + and - in its names, such as hf:Qwen/Qwen3-0.6B-GGUF:Qwen3-0.6B-Q8_0.gguf.",
            exitCodes.usage,
        );
    }
    const repo = `${organisation}/${repository}`;
    return piecesOf(file).map((one) => ({ repo, file: one, name: basename(one) }));
}

/** `model-00002-of-00003.gguf` stands for all three. */
function piecesOf(file: string): string[] {
    const count = Number(piece.exec(file)?.[1] ?? 0);
    if (count > mostPieces) {
        throw new UserError(
            `${file} is one of ${count} pieces. Allowed: up to ${mostPieces}.`,
            exitCodes.usage,
        );
    }
    const numbers = Array.from({ length: count }, (_, index) => String(index + 1).padStart(5, "0"));
    return count === 0 ? [file] : numbers.map((number) => file.replace(/-\d{5}-of-/, () => `-${number}-of-`));
}

/**
 * The same under another name.
 *
 * @throws UserError where the name is none, or there is more than one file to give it to.
 */
export function renamed(files: readonly FileToPull[], name: string): FileToPull[] {
    const [first, ...others] = files;
    if (!first || others.length > 0) {
        throw new UserError("--as gives a name to one file, and there are more.", exitCodes.usage);
    }
    if (!pathPart.test(name) || !name.endsWith(".gguf")) {
        throw new UserError(
            `--as ${shortened(name)} is no name of a model. Allowed: letters, digits, _, ., + and -, and .gguf at the end.`,
            exitCodes.usage,
        );
    }
    return [{ ...first, name }];
}

/**
 * Refuses two files under one name.
 *
 * @throws UserError naming them.
 */
export function ensureDistinct(files: readonly FileToPull[]): void {
    for (const [index, file] of files.entries()) {
        const other = files.slice(0, index).find(({ name }) => name === file.name);
        if (other && (other.repo !== file.repo || other.file !== file.file)) {
            throw new UserError(
                `${other.repo} and ${file.repo} both have a file ${file.name}. Pull one after the other, with --as.`,
                exitCodes.usage,
            );
        }
    }
}

function shortened(text: string): string {
    return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
}
