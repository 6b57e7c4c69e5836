import { portsInUse, type Settings } from "../settings/parse";

/** Address of everything that answers on the host, by port name. */
export function urls(settings: Settings): Record<string, string> {
    const host = settings.bindAddress.includes(":")
        ? `[${settings.bindAddress}]`
        : reachable(settings.bindAddress);
    return Object.fromEntries(
        portsInUse(settings).map((port) => {
            const template = (settings.tls && port.tlsUrl) || port.url;
            return [
                port.name,
                template.replace("{host}", host).replace("{port}", String(settings.ports[port.name])),
            ];
        }),
    );
}

/** "Every address" is not one that can be opened; the machine itself is always reached by its loopback. */
function reachable(address: string): string {
    return address === "0.0.0.0" ? "127.0.0.1" : address;
}
