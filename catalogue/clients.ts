import type { ServiceSpec } from ".";
import { servicesOnMachine } from "./chosen";
import type { ReferredSettings } from "./types";
import { fillIn } from "./urls";

/** How programs in the workspace find the services. */
export interface ClientAccess {
    /** Environment variables. */
    env: Record<string, string>;
    /** Names that the workspace has to be told, with Docker's word for their address; absent where there are none. */
    hosts?: Record<string, string>;
}

/** Docker Desktop knows this name of itself; other engines are told. */
const machine = { name: "host.docker.internal", address: "host-gateway" };

/**
 * What the workspace needs for the services that run, and for those that the settings place on the user's machine.
 *
 * @param services The stack's services, one for each container.
 */
export function clientAccess(services: readonly ServiceSpec[], settings: ReferredSettings): ClientAccess {
    const onMachine = servicesOnMachine(settings);
    return {
        env: Object.assign(
            {},
            ...services.map((service) => clientEnv(service, service.name, settings)),
            ...onMachine.map((service) => clientEnv(service, machine.name, settings)),
        ),
        ...(onMachine.length > 0 && { hosts: { [machine.name]: machine.address } }),
    };
}

function clientEnv(
    { clientEnv = {}, ports }: ServiceSpec,
    host: string,
    settings: ReferredSettings,
): Record<string, string> {
    return Object.fromEntries(
        Object.entries(clientEnv).map(([variable, value]) => {
            if ("setting" in value) {
                return [variable, String(settings[value.setting])];
            }
            const port = ports.find(({ name }) => name === value.port);
            if (!port) {
                throw new Error(
                    `${variable} is to hold the address of ${value.port}, which is no port here.`,
                );
            }
            return [variable, fillIn(port.url, host, port.port)];
        }),
    );
}
