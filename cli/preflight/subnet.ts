import * as os from "node:os";
import { gatewayOf } from "../../catalogue/names";
import { overlap } from "../../settings/subnet";
import { type Finding, failure, ok } from "./finding";

/**
 * Whether the address range of the stack's network is not one of this machine's, whose other end would be out of reach
 * for containers. Undefined where Docker chooses the range, which it does with regard to them. Docker itself refuses one
 * that another of its networks has.
 */
export function checkSubnet(
    subnet: string | undefined,
    interfaces: NodeJS.Dict<os.NetworkInterfaceInfo[]> = os.networkInterfaces(),
): Finding | undefined {
    if (!subnet) {
        return undefined;
    }
    const title = "address range";
    const taken = Object.entries(interfaces)
        .flatMap(([name, addresses = []]) => addresses.map((address) => ({ name, ...address })))
        // The stack's own network has its gateway here, where the engine runs on this machine.
        .filter(({ family, address }) => family === "IPv4" && address !== gatewayOf(subnet))
        .find(({ cidr }) => cidr && overlap(cidr, subnet));
    return taken
        ? failure(
              title,
              `the address range ${subnet} is part of a network of this machine's, ${taken.name} (${taken.cidr})`,
              "Set carbon:subnet to another private one, or to auto.",
          )
        : ok(title, subnet);
}
