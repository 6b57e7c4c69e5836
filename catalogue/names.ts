/**
 * Names of everything the suite makes in Docker. One place, because the program, the `carbon` command and the
 * tests must agree on them. All of them carry the stack's name, so that several stacks live side by side.
 */

/** The user's machine, as containers know it. Docker Desktop has the name of itself; other engines are told. */
export const machineName = "host.docker.internal";

/** The private network of a stack. */
export function networkName(stack: string): string {
    return `carbon-${stack}`;
}

/** The address of a network's gateway: the first after the network's own. */
export function gatewayOf(subnet: string): string {
    return subnet.replace(/(\d+)\/.*/, (_, last) => String(Number(last) + 1));
}

/** The container of a service (`workspace`, `postgres`, …). */
export function containerName(stack: string, service: string): string {
    return `carbon-${stack}-${service}`;
}

/**
 * Labels of what belongs to a stack: by them a clone that has lost the stack's state knows its own again. Docker changes
 * no labels afterwards, so that the program ignores a change of them.
 *
 * @param service What it is, or belongs to.
 * @param user Name of the user who made it.
 */
export function stackLabels(
    stack: string,
    service: string,
    user: string,
): { label: string; value: string }[] {
    return [
        { label: "carbon.stack", value: stack },
        { label: "carbon.service", value: service },
        { label: "carbon.user", value: user },
    ];
}

/** A named volume; `volume` is the catalogue's short name (`home`, `postgres`, …). */
export function volumeName(stack: string, volume: string): string {
    return `carbon-${stack}-${volume}`;
}

/** The names that a stack's containers reach one another and the user's machine by, which no proxy leads to. */
export function directNames(stack: string, services: readonly { name: string }[]): string[] {
    const names = ["workspace", ...services.map(({ name }) => name)];
    return [
        ...["localhost", "127.0.0.1", "::1", machineName],
        ...names.flatMap((name) => [name, containerName(stack, name)]),
    ];
}

/** The resource that a password of a service is in the stack's state. */
export function passwordName(service: string, secret: string): string {
    return `${service}-${secret}-password`;
}

/**
 * The names and addresses under which other machines reach this one, for the certificates: the address that the
 * services bind to, unless it stands for all of them (0.0.0.0, ::), and the machine's own name, alone and as mDNS has it.
 *
 * @param hostname The machine's name, of which what follows the first dot is left out: it changes with the network.
 */
export function tlsNames(bindAddress: string, hostname = ""): string[] {
    const short = hostname.replace(/\..*/, "").toLowerCase();
    return [
        ...(/^[0:.]+$/.test(bindAddress) ? [] : [bindAddress]),
        ...(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(short) ? [short, `${short}.local`] : []),
    ];
}
