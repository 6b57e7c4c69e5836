import type { ServiceSpec } from ".";
import { servicesOnMachine } from "./chosen";
import { machineName } from "./names";
import type { ReferredSettings } from "./types";
import { fillIn } from "./urls";

/**
 * The variables by which programs in the workspace find the services that run, and those that the settings place
 * on the user's machine.
 *
 * @param services The stack's services, one for each container.
 */
export function clientAccess(
    services: readonly ServiceSpec[],
    settings: ReferredSettings,
): Record<string, string> {
    return Object.assign(
        {},
        ...services.map((service) => clientEnv(service, service.name, settings)),
        ...servicesOnMachine(settings).map((service) => clientEnv(service, machineName, settings)),
    );
}

function clientEnv(
    { clientEnv = {}, ports }: ServiceSpec,
    host: string,
    settings: ReferredSettings,
): Record<string, string> {
    return Object.fromEntries(
        Object.entries(clientEnv).map(([variable, value]) => {
            if ("value" in value) {
                return [variable, value.value];
            }
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
