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
        await runBuildx([...args, ...buildxArguments(inputs)], secrets.env, inputs, context);
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
    const pairs = (flag: string, key: string) =>
        Object.entries((inputs[key] ?? {}) as Record<string, string>).flatMap(([k, v]) => [
            flag,
            `${k}=${v}`,
        ]);
    const each = (flag: string, values: string[]) => values.flatMap((value) => [flag, value]);
    const optional = (flag: string, value: string | undefined) => (value ? [flag, value] : []);
    return [
        ...optional("--builder", text((inputs.builder ?? {}) as Props, "name")),
        ...pairs("--build-arg", "buildArgs"),
        ...each("--output", exportFlags(inputs)),
        ...pairs("--label", "labels"),
        ...optional("--network", text(inputs, "network")),
        ...each("--platform", texts(inputs, "platforms")),
        ...each("--tag", texts(inputs, "tags")),
        ...optional("--target", text(inputs, "target")),
        ...optional("--file", text(inputs.dockerfile as Props, "location")),
        String((inputs.context as Props).location),
    ];
}

function exportFlags(inputs: Props): string[] {
    const flags = objects(inputs, "exports").map(({ image }) =>
        image ? imageExport(image as Props) : "type=cacheonly",
    );
    return inputs.push === true ? [...flags, "type=registry"] : flags;
}

/**
 * `type=image,…`. The provider leaves `compression` out while `compressionLevel` is 0, which can hardly be meant;
 * here it counts. A program that sets a level gets the same from both.
 */
function imageExport(image: Props): string {
    const level = Number(image.compressionLevel ?? 0);
    const names = texts(image, "names").join(",");
    const attributes = [
        "type=image",
        ...given("push", image.push),
        ...given("store", image.store),
        ...given("oci-mediatypes", image.ociMediaTypes),
        ...given("compression", image.compression),
        ...given("compression-level", level > 0 ? Math.min(level, 22) : undefined),
        ...given("force-compression", image.forceCompression),
        names && (names.includes(",") ? `"name=${names}"` : `name=${names}`),
    ];
    return attributes.filter(Boolean).join(",");
}

function given(attribute: string, value: Value | undefined): string[] {
    return value === undefined ? [] : [`${attribute}=${value}`];
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
