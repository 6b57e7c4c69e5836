/** `pulumi:pulumi:Stack`, the type of the root of every program. */
export const STACK_TYPE = "pulumi:pulumi:Stack";
/** What a provider's type begins with; its package follows. */
export const PROVIDER_PREFIX = "pulumi:providers:";

/** `urn:pulumi:<stack>::<project>::<parent type>$<type>::<name>`; the root stack's type is left out. */
export function makeUrn(
    stack: string,
    project: string,
    parent: string | undefined,
    type: string,
    name: string,
): string {
    const parentType = parent ? qualifiedType(parent) : "";
    const prefix = parentType && parentType !== STACK_TYPE ? `${parentType}$` : "";
    return `urn:pulumi:${stack}::${project}::${prefix}${type}::${name}`;
}

/** `docker:index/container:Container`, with the types of its parents before it. */
export function qualifiedType(urn: string): string {
    return urn.split("::")[2] ?? "";
}

/** The name that the program gave to the resource. */
export function nameOf(urn: string): string {
    return urn.split("::").slice(3).join("::");
}

export function isProviderType(type: string): boolean {
    return type.startsWith(PROVIDER_PREFIX);
}

/** `docker` of both `docker:index/container:Container` and `pulumi:providers:docker`. */
export function packageOf(type: string): string {
    const parts = type.split(":");
    return (isProviderType(type) ? parts[2] : parts[0]) ?? "";
}

/** The URN in a provider reference `<urn>::<id>`. */
export function providerUrn(reference: string): string {
    return reference.slice(0, reference.lastIndexOf("::"));
}

/** Whether a provider was made by the engine and not by the program. */
export function isDefaultProvider(urn: string): boolean {
    return nameOf(urn).startsWith("default_");
}
