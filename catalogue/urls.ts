import type { Choice, PortSpec, ServiceSpec } from ".";
import { portsInUse } from "./chosen";

/** Where the services of a stack answer on the host. */
export interface Published extends Choice {
    services: readonly ServiceSpec[];
    /** Address that the ports are bound to. */
    bindAddress: string;
    /** Host port by port name. */
    ports: Record<string, number>;
}

/** Address of everything that answers on the host, by port name. */
export function urls(published: Published): Record<string, string> {
    const { bindAddress, ports, tls } = published;
    const host = bindAddress.includes(":") ? `[${bindAddress}]` : reachable(bindAddress);
    return Object.fromEntries(
        portsInUse(published).map((port) => {
            return [port.name, fillIn(accessTo(port, tls).url, host, Number(ports[port.name]))];
        }),
    );
}

/** How a port is opened: its address, where its page logs in, and the secret, each as it is with TLS or without. */
export function accessTo(port: PortSpec, tls: boolean): Pick<PortSpec, "url" | "loginUrl" | "secret"> {
    const { url, loginUrl, secret } = port;
    return tls
        ? {
              url: port.tlsUrl ?? url,
              loginUrl: port.tlsLoginUrl ?? loginUrl,
              secret: port.tlsSecret ?? secret,
          }
        : { url, loginUrl, secret };
}

/** The address of a port's template. */
export function fillIn(template: string, host: string, port: number): string {
    return template.replace("{host}", host).replace("{port}", String(port));
}

/** "Every address" is not one that can be opened; the machine itself is always reached by its loopback. */
function reachable(address: string): string {
    return address === "0.0.0.0" ? "127.0.0.1" : address;
}
