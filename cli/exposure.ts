import type { Settings } from "../settings/parse";
import { plural } from "./output";

/** What a bind address opens to other machines, in one sentence; undefined where it opens nothing. */
export function describeExposure({ bindAddress, tls, ports }: Settings): string | undefined {
    // TLS is on where the address is not this machine's alone.
    if (!tls) {
        return undefined;
    }
    const list = Object.entries(ports).map(([name, port]) => `${port} (${name})`);
    return (
        `carbon:bindAddress ${bindAddress} opens ${plural(list.length, "port")} to other machines: ${list.join(", ")}. ` +
        "TLS is on, and the passwords are all that stands between them and this stack."
    );
}
