/** The networks that are nobody's on the internet (RFC 1918), as first address and length of the prefix. */
const privateRanges: [string, number][] = [
    ["10.0.0.0", 8],
    ["172.16.0.0", 12],
    ["192.168.0.0", 16],
];

/** Whether it is a private IPv4 network of /16 to /28, written by its first address. */
export function isSubnet(text: string): boolean {
    const [, address = "", prefix = ""] =
        /^((?:(?:0|[1-9]\d{0,2})\.){3}(?:0|[1-9]\d{0,2}))\/(\d{2})$/.exec(text) ?? [];
    const first = numberOf(address);
    const length = Number(prefix);
    return (
        address.split(".").every((part) => Number(part) <= 255) &&
        length >= 16 &&
        length <= 28 &&
        first % 2 ** (32 - length) === 0 &&
        privateRanges.some(
            ([range, bits]) => bits <= length && block(first, bits) === block(numberOf(range), bits),
        )
    );
}

/** Whether two networks, or an address in one, have addresses in common. Both are IPv4 in CIDR form. */
export function overlap(one: string, other: string): boolean {
    const [[first, bits], [second, more]] = [parts(one), parts(other)];
    const shorter = Math.min(bits, more);
    return block(first, shorter) === block(second, shorter);
}

function parts(cidr: string): [address: number, bits: number] {
    const [address = "", bits] = cidr.split("/");
    return [numberOf(address), Number(bits)];
}

function block(address: number, bits: number): number {
    return Math.floor(address / 2 ** (32 - bits));
}

function numberOf(address: string): number {
    return address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
}
