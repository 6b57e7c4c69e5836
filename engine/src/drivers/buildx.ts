import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EngineError } from "../engine-error";
import { runProcess } from "../run-process";
import type { Props, Value } from "../values";
import { BuildProgress } from "./build-progress";
import { type Context, objects, text, texts } from "./driver";

/** The longest value that Linux lets through in one environment variable (MAX_ARG_STRLEN), with its name. */
const LONGEST_VARIABLE = 128 * 1024 - 100;

/**
 * A fault of BuildKit's own, not of the build: of two builds with a stage in common, the one that ends first takes what the
 * other was about to read (https://github.com/moby/buildkit/issues/3635, seen with Docker 26). Nothing is lost by it.
 */
const LOST_RACE = /failed to get state for index|inconsistent graph state/;

/**
 * Runs `docker buildx build` as the docker-build provider's exec mode does (provider/internal/cli.go).
 * @param inputs checked and revealed inputs of a docker-build:index:Image.
 * @returns the digest of what was exported; empty when nothing was.
 * @throws EngineError with the failed step and the end of its output.
 */
export async function buildImage(inputs: Props, context: Context): Promise<string> {
    const scratch = mkdtempSync(join(tmpdir(), "buildx-"));
    try {
        const metadata = join(scratch, "metadata.json");
        const secrets = passSecrets((inputs.secrets ?? {}) as Record<string, string>, scratch);
        const args = ["buildx", "build", "--progress", "plain", "--metadata-file", metadata, ...secrets.args];
        const run = () => runBuildx([...args, ...buildxArguments(inputs)], secrets.env, inputs, context);
        await run().catch((error: unknown) => {
            if (!(error instanceof EngineError && LOST_RACE.test(error.message))) {
                throw error;
            }
            context.progress("BuildKit lost track of a step that two builds share; it goes on from there.");
            return run();
        });
        const written = JSON.parse(readFileSync(metadata, "utf8")) as Record<string, unknown>;
        return String(written["containerimage.digest"] ?? "");
    } finally {
        rmSync(scratch, { recursive: true, force: true });
    }
}

async function runBuildx(
    args: string[],
    secrets: NodeJS.ProcessEnv,
    inputs: Props,
    context: Context,
): Promise<void> {
    const progress = new BuildProgress((line) => context.progress(line));
    try {
        const result = await runProcess("docker", args, {
            cwd: context.projectDir,
            env: { ...context.env, ...attestationEnvironment(isPushed(inputs)), ...secrets },
            cancelSignal: context.signal,
            onLine: (line) => progress.read(line),
        });
        if (result.stopped) {
            throw new EngineError(`The build of ${context.name} was interrupted.`);
        }
        if (result.missing) {
            throw new EngineError(
                "There is no docker command: install Docker's command line client with buildx.",
            );
        }
        if (result.exitCode !== 0) {
            throw new EngineError(`The build of ${context.name} failed at ${progress.failure()}`);
        }
    } finally {
        progress.close();
    }
}

/** Secrets go through the environment; one too long for that through a file of the user's alone. */
function passSecrets(
    secrets: Record<string, string>,
    scratch: string,
): { args: string[]; env: NodeJS.ProcessEnv } {
    const env: NodeJS.ProcessEnv = {};
    const args = Object.entries(secrets).flatMap(([id, value]) => {
        const name = `PULUMI_DOCKER_${randomBytes(4).toString("hex")}`;
        if (Buffer.byteLength(value) > LONGEST_VARIABLE) {
            const path = join(scratch, name);
            writeFileSync(path, value, { mode: 0o600 });
            return ["--secret", `id=${id},src=${path}`];
        }
        env[name] = value;
        return ["--secret", `id=${id},env=${name}`];
    });
    return { args, env };
}

/** Flags of `docker buildx build` that the inputs of a docker-build:index:Image stand for, the context last. */
export function buildxArguments(inputs: Props): string[] {
    const pairs = (key: string) =>
        Object.entries((inputs[key] ?? {}) as Props).map(([name, value]) => `${name}=${value}`);
    const [imported = [], exported = []] = ["cacheFrom", "cacheTo"].map((key) =>
        objects(inputs, key).map(({ registry }) => registryCache(registry as Props)),
    );
    const flags: Record<string, (string | undefined)[]> = {
        "--builder": [text((inputs.builder ?? {}) as Props, "name")],
        "--build-arg": pairs("buildArgs"),
        "--cache-from": imported,
        "--cache-to": exported,
        "--output": exportFlags(inputs),
        "--label": pairs("labels"),
        "--network": [text(inputs, "network")],
        "--platform": texts(inputs, "platforms"),
        "--tag": texts(inputs, "tags"),
        "--target": [text(inputs, "target")],
        "--file": [text(inputs.dockerfile as Props, "location")],
    };
    const given = Object.entries(flags).flatMap(([flag, values]) =>
        values.flatMap((value) => (value ? [flag, value] : [])),
    );
    return [...given, String((inputs.context as Props).location)];
}

/** `type=registry,ref=…`; what is left out has the same default for buildx and the provider. */
function registryCache({ ref, mode }: Props): string {
    return ["type=registry", ...(mode ? [`mode=${mode}`] : []), `ref=${ref}`].join(",");
}

function exportFlags(inputs: Props): string[] {
    const flags = objects(inputs, "exports").map(({ image }) =>
        image ? imageExport(image as Props) : "type=cacheonly",
    );
    return inputs.push === true ? [...flags, "type=registry"] : flags;
}

/** `type=image,…`. The provider leaves `compression` out while `compressionLevel` is 0, so gzip is BuildKit's choice. */
function imageExport(image: Props): string {
    const level = Number(image.compressionLevel ?? 0);
    const names = texts(image, "names").join(",");
    const attributes: Record<string, Value | undefined> = {
        type: "image",
        push: image.push,
        store: image.store,
        "oci-mediatypes": image.ociMediaTypes,
        ...(level > 0 && {
            compression: image.compression,
            "compression-level": Math.min(level, 22),
            "force-compression": image.forceCompression,
        }),
        name: names || undefined,
    };
    return Object.entries(attributes)
        .filter(([, value]) => value !== undefined)
        .map(([key, value]) => `${key}=${value}`)
        .map((attribute) => (attribute.includes(",") ? `"${attribute}"` : attribute))
        .join(",");
}

/** Whether the build ends in a registry. */
export function isPushed(inputs: Props): boolean {
    const images = objects(inputs, "exports").map(({ image }) => image as Props | undefined);
    return inputs.push === true || images.some((image) => image?.push === true);
}

/**
 * Switches attestations off for builds that stay here: one records the time, so that every build has a digest of its
 * own and replaces every container.
 */
export function attestationEnvironment(pushed: boolean): Record<string, string> {
    return pushed ? {} : { BUILDX_NO_DEFAULT_ATTESTATIONS: "1" };
}
