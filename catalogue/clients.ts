import type { ServiceSpec } from ".";
import { servicesOnMachine } from "./chosen";
import { llm } from "./llm";
import { machineName } from "./names";
import type { PortSpec, ReferredSettings } from "./types";
import { fillIn } from "./urls";

/**
 * The variables by which programs in the workspace find the services that run, those that the settings place on the
 * user's machine, and an LLM server that is elsewhere.
 *
 * @param services The stack's services, one for each container.
 */
export function clientAccess(
    services: readonly ServiceSpec[],
    settings: ReferredSettings,
): Record<string, string> {
    const { llmAddress } = settings;
    return Object.assign(
        {},
        ...services.map((service) => clientEnv(service, addressAt(service.name), settings)),
        ...servicesOnMachine(settings).map((service) => clientEnv(service, addressAt(machineName), settings)),
        llmAddress && clientEnv(llm, () => llmAddress, settings),
    );
}

function addressAt(host: string) {
    return ({ url, port }: PortSpec) => fillIn(url, host, port);
}

function clientEnv(
    { clientEnv = {}, ports }: ServiceSpec,
    address: (port: PortSpec) => string,
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
            return [variable, address(port)];
        }),
    );
}
