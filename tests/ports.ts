import { createServer } from "node:net";

/** A port that nobody listens on, on any of this machine's addresses. */
export function freePort(): Promise<number> {
    return new Promise((resolve) => {
        const server = createServer().listen(0, () => {
            const address = server.address();
            server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
        });
    });
}
