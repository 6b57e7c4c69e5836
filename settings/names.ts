/**
 * Names of everything the suite makes in Docker. One place, because the program, the `carbon` command and the
 * tests must agree on them. All of them carry the stack's name, so that several stacks live side by side.
 */

/** The private network of a stack. */
export function networkName(stack: string): string {
    return `carbon-${stack}`;
}

/** The container of a service (`workspace`, `postgres`, …). */
export function containerName(stack: string, service: string): string {
    return `carbon-${stack}-${service}`;
}

/** A named volume; `volume` is the catalogue's short name (`home`, `postgres`, …). */
export function volumeName(stack: string, volume: string): string {
    return `carbon-${stack}-${volume}`;
}

/** The fully qualified tag of one of the two images. */
export function imageTag(imagePrefix: string, image: "base" | "compute", stack: string): string {
    return `${imagePrefix}/${image}:${stack}`;
}
