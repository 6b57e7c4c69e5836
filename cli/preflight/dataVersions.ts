import { boundedLog, type ServiceSpec } from "../../catalogue";
import { volumeName } from "../../catalogue/names";
import type { DataFormat } from "../../catalogue/types";
import type { Settings } from "../../settings/parse";
import { existingVolumes, hasImage, helperLabel, lines, stackContainers } from "../docker";
import { UserError } from "../errors";
import { readGenerations, recordedData, tagOf } from "../generations";
import { run } from "../process";
import { findProject } from "../project";
import { suiteReferences } from "../suiteReferences";
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

/** In docs/guide.md. */
const section = 'the section "Data of another version" of docs/guide.md';

/** A format in a user's words. */
interface Format {
    what: string;
    /** Whether a server cannot take data of these versions. */
    isRefused(found: number[], wanted: number): boolean;
    /** How the data get to the server, or the server to the data. */
    advice: string;
}

const newer: Pick<Format, "isRefused" | "advice"> = {
    isRefused: isNewer,
    advice: `Only the version of the suite that wrote them reads them: see ${section}.`,
};

const formats: Record<DataFormat, Format> = {
    postgres: {
        what: "PostgreSQL",
        advice: `How they are dumped with the server that wrote them, and loaded: see ${section}.`,
        // Each major version has a folder of its own, and would begin with an empty one.
        isRefused: (found, wanted) =>
            found.length > 0 && (!found.includes(wanted) || found.some((version) => version > wanted)),
    },
    redis: { what: "Redis's RDB", ...newer },
    mosquitto: { what: "Mosquitto's store", ...newer },
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
    const held = settings.heldImages.base;
    const image = held ? await heldImage(held) : await localImage(settings);
    if (!image && held) {
        // Another image would not do, and that it is missing has been said (checkHeldImages).
        return [];
    }
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
    const written = held ? writtenBy(held, stack, found) : {};
    const findings = services.map((service) => compare(service, stack, found, written));
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

/** The image that a rollback put back, and no other: it is asked which PostgreSQL it has. */
async function heldImage(held: string): Promise<string | undefined> {
    const tag = tagOf(held);
    return (await hasImage(tag)) ? tag : undefined;
}

/** An image with a shell that is here: what will run, what runs, or what everything starts from. */
async function localImage(settings: Settings): Promise<string | undefined> {
    const running = (await stackContainers(settings.stack)).flatMap(({ Config }) =>
        Config.Image.startsWith(settings.imagePrefix) ? [Config.Image] : [],
    );
    for (const image of [suiteReferences(settings).base, ...running, settings.rootImage]) {
        if (await hasImage(image)) {
            return image;
        }
    }
    return undefined;
}

/** What the servers of a held image write, which may be others than the catalogue's: as was recorded, or is seen in it. */
function writtenBy(
    held: string,
    stack: string,
    found: ReadonlyMap<string, number[]>,
): Partial<Record<string, number>> {
    const [postgres] = found.get("image-postgres") ?? [];
    const recorded = recordedData(readGenerations(findProject(process.env), stack), held);
    return { ...(postgres !== undefined && { postgres }), ...recorded };
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
    stack: string,
    found: ReadonlyMap<string, number[]>,
    written: Partial<Record<string, number>>,
): Finding {
    const versions = found.get(format) ?? [];
    const wanted = written[format] ?? version;
    const { what, isRefused, advice } = formats[format];
    const volume = volumeName(stack, name);
    return isRefused(versions, wanted)
        ? failure(
              title,
              `the volume ${volume} holds data of ${what} ${versions.join(", ")}, and the server that would be deployed is for ${wanted}`,
              `What runs goes on. ${advice}`,
          )
        : ok(title, `${volume}: ${what} ${versions.join(", ") || "-"}`);
}
