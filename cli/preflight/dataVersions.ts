import { boundedLog, type ServiceSpec } from "../../catalogue";
import { suiteImages } from "../../catalogue/images";
import { volumeName } from "../../catalogue/names";
import type { DataFormat } from "../../catalogue/types";
import type { Settings } from "../../settings/parse";
import { existingVolumes, hasImage, helperLabel, lines, stackContainers } from "../docker";
import { UserError } from "../errors";
import { run } from "../process";
import { stackFlag } from "../session";
import { type Finding, failure, ok, warning } from "./finding";

const title = "data";

// Prints a line for each format and version that it finds. What is no plain file is left alone: the volume is a
// service's, which may put anything there. Mosquitto's number follows 15 bytes of magic and 4 of a checksum.
const script = `
cd /volumes
for file in postgres/PG_VERSION postgres/*/PG_VERSION; do
    if [ -f "$file" ] && [ ! -L "$file" ]; then echo "postgres $(head -c 8 "$file")"; fi
done
for file in redis/*.rdb redis/appendonlydir/*.rdb; do
    if [ -f "$file" ] && [ ! -L "$file" ]; then echo "redis $(head -c 9 "$file" | tr -cd 0-9)"; fi
done
file=mosquitto/mosquitto.db
if [ -f "$file" ] && [ ! -L "$file" ]; then
    echo "mosquitto $(head -c 23 "$file" | tail -c 4 | od -A n -t u1 | tr -s ' ' '\\n' | tail -n 1)"
fi
for folder in /usr/lib/postgresql/*/bin/postgres; do
    if [ -x "$folder" ]; then echo "image-postgres $(basename "\${folder%/bin/postgres}")"; fi
done
`;

/** Formats in a user's words, and which other versions of their data a server cannot take. */
const formats: Record<DataFormat, { what: string; isRefused(found: number[], wanted: number): boolean }> = {
    postgres: {
        what: "PostgreSQL",
        // Each major version has a folder of its own, and would begin with an empty one.
        isRefused: (found, wanted) =>
            found.length > 0 && (!found.includes(wanted) || found.some((version) => version > wanted)),
    },
    redis: { what: "Redis's RDB", isRefused: isNewer },
    mosquitto: { what: "Mosquitto's store", isRefused: isNewer },
};

/** These read what older ones wrote. */
function isNewer(found: number[], wanted: number): boolean {
    return found.some((version) => version > wanted);
}

/**
 * Whether the servers that are to be deployed can read the data in the stack's volumes, seen before a container is
 * touched, from a container without a network that only reads.
 */
export async function checkDataVersions(settings: Settings): Promise<Finding[]> {
    const { stack } = settings;
    const services = await withData(settings);
    if (services.length === 0) {
        return [];
    }
    const image = await localImage(settings);
    if (!image) {
        return [
            warning(
                title,
                "the versions of the data in the volumes could not be seen: no image of the suite's is here",
                `\`docker volume ls --filter name=carbon-${stack}-\` lists the volumes.`,
            ),
        ];
    }
    const found = await readVersions(stack, services, image);
    if (!found) {
        return [
            warning(
                title,
                `the versions of the data in the volumes could not be seen with ${image}`,
                "`./carbon backup` makes a copy of the data first.",
            ),
        ];
    }
    const findings = services.map((service) => compare(service, settings, found));
    return findings.some(({ status }) => status === "failure")
        ? findings.filter(({ status }) => status === "failure")
        : [ok(title, "the volumes hold what these versions read")];
}

/**
 * The same, as a refusal.
 *
 * @throws UserError when a server could not read its data; nothing was changed.
 */
export async function ensureDataFits(settings: Settings): Promise<void> {
    const refusals = (await checkDataVersions(settings)).filter(({ status }) => status === "failure");
    if (refusals.length > 0) {
        throw new UserError(
            ["Nothing was changed:", ...refusals.map(({ detail, advice }) => `  ${detail}. ${advice}`)].join(
                "\n",
            ),
        );
    }
}

/** A service that keeps data of a known format. */
type Keeper = ServiceSpec & { data: NonNullable<ServiceSpec["data"]> };

async function withData({ stack, services }: Settings): Promise<Keeper[]> {
    const keepers = services.filter((service): service is Keeper => service.data !== undefined);
    const names = keepers.flatMap(({ volumes }) => volumes.map(({ name }) => volumeName(stack, name)));
    const existing = keepers.length > 0 ? await existingVolumes(names) : [];
    return keepers.filter(({ volumes }) =>
        volumes.some(({ name }) => existing.includes(volumeName(stack, name))),
    );
}

/** An image with a shell that is here: what will run, what runs, or what everything starts from. */
async function localImage(settings: Settings): Promise<string | undefined> {
    const running = (await stackContainers(settings.stack)).flatMap(({ Config }) =>
        Config.Image.startsWith(settings.imagePrefix) ? [Config.Image] : [],
    );
    const { heldImages, rootImage } = settings;
    for (const image of [heldImages.base, suiteImages(settings).base.tag, ...running, rootImage]) {
        if (image && (await hasImage(image))) {
            return image;
        }
    }
    return undefined;
}

async function readVersions(
    stack: string,
    services: readonly Keeper[],
    image: string,
): Promise<Map<string, number[]> | undefined> {
    const mounts = services.flatMap(({ data, volumes: [volume] }) =>
        volume ? ["--volume", `${volumeName(stack, volume.name)}:/volumes/${data.format}:ro`] : [],
    );
    const result = await run(
        "docker",
        [
            ...["run", "--rm", "--network", "none", "--read-only", "--pull", "never"],
            ...["--label", `${helperLabel}=${stack}`],
            ...["--cap-drop", "ALL", "--cap-add", "DAC_READ_SEARCH", "--security-opt", "no-new-privileges"],
            ...Object.entries(boundedLog).flatMap(([name, value]) => ["--log-opt", `${name}=${value}`]),
            ...["--log-driver", "json-file", ...mounts],
            ...["--entrypoint", "timeout", image, "20", "sh", "-c", script],
        ],
        { maxBuffer: 10_000, timeout: 60_000 },
    );
    if (result.exitCode !== 0) {
        return undefined;
    }
    const found = new Map<string, number[]>();
    for (const line of lines(result.stdout)) {
        const [, format, version] = /^(\S+) (\d{1,6})\s*$/.exec(line) ?? [];
        if (format && version) {
            found.set(format, [...(found.get(format) ?? []), Number(version)]);
        }
    }
    return found;
}

function compare(
    { name, data: { format, version } }: Keeper,
    { stack, heldImages }: Settings,
    found: ReadonlyMap<string, number[]>,
): Finding {
    const versions = found.get(format) ?? [];
    // An image that a rollback put back may have another server than the catalogue's.
    const [own] = (heldImages.base && found.get(`image-${format}`)) || [];
    const wanted = own ?? version;
    const { what, isRefused } = formats[format];
    const volume = volumeName(stack, name);
    return isRefused(versions, wanted)
        ? failure(
              title,
              `the volume ${volume} holds data of ${what} ${versions.join(", ")}, and the server that would be deployed is for ${wanted}`,
              `With the images that ran before (./carbon rollback${stackFlag(stack)}), type ./carbon backup${stackFlag(stack)}; ` +
                  `then ./carbon down${stackFlag(stack)}, docker volume rm ${volume}, ./carbon up --new-images${stackFlag(stack)}, ` +
                  `and ./carbon restore FILE --only ${name}${stackFlag(stack)}.`,
          )
        : ok(title, `${volume}: ${what} ${versions.join(", ") || "-"}`);
}
