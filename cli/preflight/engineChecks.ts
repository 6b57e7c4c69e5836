import { type DockerInfo, dockerInfo, hasContainerdStore, lines, startDockerAdvice } from "../docker";
import { messageOf } from "../errors";
import { formatBytes } from "../output";
import { run } from "../process";
import { currentServer } from "../server/reach";
import { type Finding, failure, ok, warning } from "./finding";

/** Docker Engine versions before this one keep no multi-platform images (https://docs.docker.com/engine/storage/containerd/). */
const oldestEngine = 23;
const bytesPerMebibyte = 1024 * 1024;

/** Whether an engine answers, and what it says of itself. */
export async function checkDocker(): Promise<{ finding: Finding; info?: DockerInfo }> {
    const title = "Docker Engine";
    try {
        const info = await dockerInfo();
        const detail = `${info.ServerVersion} on ${info.OperatingSystem}, ${info.Architecture}`;
        const major = Number.parseInt(info.ServerVersion ?? "", 10);
        // Docker Desktop and Podman number alike; what has no number is left to the checks that follow.
        return major < oldestEngine
            ? { finding: failure(title, `${detail} is too old`, `Install version ${oldestEngine} or later.`) }
            : { finding: ok(title, detail), info };
    } catch (error) {
        const reason = messageOf(error);
        return {
            // Of a server, it is a sentence that says what to do.
            finding: currentServer()
                ? failure(title, reason.replace(/\.$/, ""), "")
                : failure(title, `Docker does not answer: ${reason}`, startDockerAdvice()),
        };
    }
}

/** Whether images are kept in containerd's store. */
export function checkImageStore(info: DockerInfo, platform: NodeJS.Platform = process.platform): Finding {
    const title = "image store";
    return hasContainerdStore(info)
        ? ok(title, "containerd")
        : failure(
              title,
              "Docker does not keep images in containerd's store, so they have no digests and one platform only",
              platform === "darwin"
                  ? 'Switch on "Use containerd for pulling and storing images" in Docker Desktop, Settings, General.'
                  : 'Put {"features":{"containerd-snapshotter":true}} into /etc/docker/daemon.json and restart Docker.',
          );
}

/** Whether the docker command can build with BuildKit. */
export async function checkBuildx(): Promise<Finding> {
    const { exitCode, stdout } = await run("docker", ["buildx", "version"]);
    return exitCode === 0
        ? ok("buildx", lines(stdout)[0] ?? "")
        : failure(
              "buildx",
              "docker buildx is not installed",
              process.platform === "darwin"
                  ? "Update Docker Desktop."
                  : "Install the package docker-buildx (Debian, Ubuntu) or docker-buildx-plugin (Docker).",
          );
}

/** Whether buildx and the builder of the settings are there, and build for every platform that is asked for. */
export async function checkBuilder(builder: string, platforms: readonly string[]): Promise<Finding[]> {
    const buildx = await checkBuildx();
    return buildx.status === "ok" ? [buildx, await checkPlatforms(builder, platforms)] : [buildx];
}

async function checkPlatforms(builder: string, platforms: readonly string[]): Promise<Finding> {
    const title = "builder";
    const inspected = await run("docker", ["buildx", "inspect", builder]);
    if (inspected.exitCode !== 0) {
        return failure(
            title,
            `the builder ${builder} does not answer: ${inspected.reason}`,
            "Type `docker buildx ls`, and set carbon:builder to one of that list, or to auto.",
        );
    }
    const listed = supportedPlatforms(inspected.stdout);
    const missing = platforms.filter((platform) => !listed.includes(platform));
    // A builder that has not been started lists nothing; then the build itself has to tell.
    if (listed.length > 0 && missing.length > 0) {
        return failure(
            title,
            `${builder} cannot build for ${missing.join(", ")}, because no emulation is set up`,
            `Type: docker run --privileged --rm tonistiigi/binfmt --install ${missing.map(architecture).join(",")}`,
        );
    }
    return ok(title, `${builder}, for ${listed.join(", ") || "platforms unknown until it starts"}`);
}

/** `linux/amd64` and the like, from the line "Platforms:" of `docker buildx inspect`. */
function supportedPlatforms(text: string): string[] {
    const all = [...text.matchAll(/^Platforms:\s*(.+)$/gm)].flatMap(([, list]) => list?.split(/,\s*/) ?? []);
    // Variants such as linux/amd64/v3 say nothing new here; a star marks what a user has set by hand.
    const plain = all.map((platform) => platform.trim().replace(/\*$/, ""));
    return [...new Set(plain.filter((platform) => platform.split("/").length === 2))];
}

function architecture(platform: string): string {
    return platform.split("/")[1] ?? platform;
}

/** Whether the engine's machine has the memory that the containers may take. */
export function checkMemory(info: DockerInfo, neededMebibytes: number): Finding {
    const title = "memory";
    const available = info.MemTotal ?? 0;
    const needed = neededMebibytes * bytesPerMebibyte;
    const detail = `${formatBytes(available)} for Docker, the containers may take ${formatBytes(needed)}`;
    return available >= needed
        ? ok(title, detail)
        : warning(
              title,
              detail,
              process.platform === "darwin"
                  ? "Raise it in Docker Desktop, Settings, Resources, or lower carbon:memory."
                  : "Lower carbon:memory.",
          );
}
