import { EngineError } from "../engine-error";
import { isProviderType, packageOf } from "../urn";
import { localCommand } from "./command";
import { container } from "./container";
import type { Driver } from "./driver";
import { image } from "./image";
import { network } from "./network";
import { providerDriver } from "./provider";
import { randomPassword } from "./random";
import { remoteImage } from "./remote-image";
import { secret } from "./secret";
import { service } from "./service";
import { volume } from "./volume";

const DRIVERS: Record<string, Driver> = {
    "command:local:Command": localCommand,
    "docker-build:index:Image": image,
    "docker:index/container:Container": container,
    "docker:index/network:Network": network,
    "docker:index/remoteImage:RemoteImage": remoteImage,
    "docker:index/secret:Secret": secret,
    "docker:index/service:Service": service,
    "docker:index/volume:Volume": volume,
    "random:index/randomPassword:RandomPassword": randomPassword,
};
const PACKAGES = ["command", "docker", "docker-build", "random"];

/** @throws EngineError naming a type that no driver handles. */
export function driverFor(type: string): Driver {
    const name = packageOf(type);
    const driver = isProviderType(type) && PACKAGES.includes(name) ? providerDriver(name) : DRIVERS[type];
    if (!driver) {
        const known = Object.keys(DRIVERS).join(", ");
        throw new EngineError(
            `The embedded engine does not support the resource type ${type} (it supports ${known}): install the ` +
                "Pulumi CLI for this program.",
        );
    }
    return driver;
}
