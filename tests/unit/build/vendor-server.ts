import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** A vendor's host on this machine: answers with what `files` says of a path, 404 to /gone and 403 to /refused. */
export interface VendorServer {
    /** Without a slash at the end. */
    address: string;
    close(): void;
}

/** Starts one on a free port. */
export async function startVendorServer(files: (path: string) => Buffer | string): Promise<VendorServer> {
    const server = createServer(({ url = "" }, response) => {
        response.statusCode = { "/gone": 404, "/refused": 403 }[url] ?? 200;
        response.end(files(url));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    return { address: `http://127.0.0.1:${port}`, close: () => server.close() };
}
