import { everyService, everyVolume, keysVolume, type VolumeSpec } from "../../catalogue";
import { volumeName } from "../../catalogue/names";
import { buildImages } from "../buildImages";
import { type ContainerDetails, docker, existingVolumes, hasImage, serviceLabel } from "../docker";
import { UserError } from "../errors";
import { ensureReady } from "../preflight";
import type { Session } from "../session";
import { suiteReferences } from "../suiteReferences";
import { type Helper, readingCapabilities, Stream } from "./helper";

/** A volume of a stack's, and what has to do with it. */
export interface StackVolume {
    spec: VolumeSpec;
    /** Docker's name for it. */
    docker: string;
    /** The service whose it is; the keys are several services'. */
    service: string | undefined;
    /** Containers that may write to it. */
    writers: ContainerDetails[];
}

/** The service that has this volume. */
export function serviceOfVolume(name: string): string | undefined {
    return everyService.find(({ volumes }) => volumes.some((volume) => volume.name === name))?.name;
}

/** The stack's volumes that exist, also those of services that are no longer chosen. */
export async function stackVolumesOf(
    stack: string,
    containers: readonly ContainerDetails[],
): Promise<StackVolume[]> {
    const existing = await existingVolumes(everyVolume.map(({ name }) => volumeName(stack, name)));
    return everyVolume
        .map((spec) => describeVolume(stack, spec, containers))
        .filter(({ docker }) => existing.includes(docker));
}

/** What has to do with one of them, whether it exists or not. */
export function describeVolume(
    stack: string,
    spec: VolumeSpec,
    containers: readonly ContainerDetails[],
): StackVolume {
    const docker = volumeName(stack, spec.name);
    const writers = containers.filter((container) => mayWrite(container, docker));
    return { spec, docker, service: serviceOfVolume(spec.name), writers };
}

/** Whether a container may write to a volume, by Docker's name for it. */
export function mayWrite({ Mounts }: ContainerDetails, volume: string): boolean {
    return Mounts.some(({ Name, RW }) => Name === volume && RW);
}

/** The stack's container of a service, where it runs. */
export function runningContainer(
    containers: readonly ContainerDetails[],
    service: string,
): ContainerDetails | undefined {
    return containers.find(
        ({ Config, State }) => Config.Labels[serviceLabel] === service && State.Status === "running",
    );
}

/**
 * Those of a volume's writers that have to stand still while it is copied. Keys are put in their place whole.
 *
 * @throws UserError where one of them starts again and again.
 */
export function toPause({ spec, writers }: StackVolume): ContainerDetails[] {
    const restarting = writers.filter(({ State }) => State.Status === "restarting");
    if (restarting.length > 0) {
        const names = restarting.map(({ Config }) => Config.Labels[serviceLabel]).join(", ");
        throw new UserError(`${names} starts again and again: mend it, or stop the stack first.`);
    }
    return spec.name === keysVolume.name ? [] : writers.filter(({ State }) => State.Status === "running");
}

/**
 * An image of the suite's to work on volumes with: the one that the stack's containers run from, or else the one that its
 * settings ask for, which is built where it is missing.
 *
 * @throws UserError where it cannot be built; SettingsError where the settings are wrong.
 */
export async function helperImage(
    session: Session,
    containers: readonly ContainerDetails[],
): Promise<string> {
    const ofSuite = ["workspace", "postgres", "redis", "mosquitto"];
    const used = containers
        .filter(({ Config }) => ofSuite.includes(Config.Labels[serviceLabel] ?? ""))
        .map(({ Config }) => Config.Image);
    const settings = used.length === 0 ? session.settings() : undefined;
    const wanted = settings ? [suiteReferences(settings).base] : used;
    for (const image of wanted) {
        if (await hasImage(image)) {
            return image;
        }
    }
    const asked = settings ?? session.settings();
    await ensureReady(asked, "build", session.output);
    if (asked.images === "pull") {
        const { base } = suiteReferences(asked);
        session.output.note("The suite's image, whose tools read and write the volumes, is pulled first.");
        await docker("pull", "--quiet", base);
        return base;
    }
    session.output.note("The suite's image, whose tools read and write the volumes, is built first.");
    await buildImages({ ...asked, compute: false }, session);
    return suiteReferences({ ...asked, compute: false }).base;
}

/** A helper that reads volumes. */
export function reading(
    stack: string,
    image: string,
    volumes: Record<string, string>,
    script: string,
): Helper {
    return { stack, image, volumes, readOnly: true, capabilities: readingCapabilities, script };
}

/** What is in volumes. */
export interface Measured {
    /** Bytes on disk, by short name. */
    bytes: Record<string, number>;
    /** Major version of PostgreSQL's data, where there are any. */
    postgres: string | undefined;
}

/**
 * Looks how much the volumes hold.
 *
 * @throws UserError where that cannot be looked at.
 */
export async function measure(
    session: Session,
    image: string,
    volumes: readonly StackVolume[],
): Promise<Measured> {
    if (volumes.length === 0) {
        return { bytes: {}, postgres: undefined };
    }
    const mounts = Object.fromEntries(volumes.map(({ docker, spec }) => [docker, `/volumes/${spec.name}`]));
    const script = `
cd /volumes
for volume in *; do
    # Files that come and go under a running server are no failure.
    printf 'bytes %s %s\\n' "$volume" "$(du --summarize --block-size=1 "$volume" 2> /dev/null | cut --fields=1)" || true
done
for file in postgres/*/PG_VERSION; do
    [[ ! -f $file || $file == *.new/* ]] || printf 'postgres %s\\n' "$(< "$file")"
done`;
    const helper = reading(session.stack, image, mounts, script);
    const text = await Stream.helper(helper, "look into the volumes", session.signal).text();
    const bytes = Object.fromEntries(
        [...text.matchAll(/^bytes (\S+) (\d+)$/gm)].map(([, name = "", size]) => [name, Number(size)]),
    );
    return { bytes, postgres: /^postgres (\d+)$/m.exec(text)?.[1] };
}
