import { createReadStream, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";

/**
 * A registry on a free port of 127.0.0.1, which Docker speaks plain HTTP to. It serves one local image under any
 * name and tag; what `docker save` writes is the OCI layout, whose blobs are what a registry has to hand out
 * (https://github.com/opencontainers/distribution-spec).
 */
export class Registry {
    private readonly dir = mkdtempSync(join(tmpdir(), "registry-"));
    private readonly server = createServer(({ url = "" }, response) => this.answer(url, response));

    /** Starts serving `image`. */
    async start(image: string): Promise<void> {
        await execa("bash", ["-c", 'docker save "$1" | tar -x -C "$2"', "-", image, this.dir]);
        await new Promise<void>((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    }

    /** `host:port` */
    get address(): string {
        return `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
    }

    async stop(): Promise<void> {
        this.server.closeAllConnections();
        await new Promise((resolve) => this.server.close(resolve));
        rmSync(this.dir, { recursive: true });
    }

    private answer(url: string, response: ServerResponse): void {
        const [, kind, reference = ""] = /\/(manifests|blobs)\/(.+)$/.exec(url) ?? [];
        const digest = reference.startsWith("sha256:") ? reference : this.index().digest;
        const blob = join(this.dir, "blobs", "sha256", digest.slice("sha256:".length));
        if (!kind) {
            response.end("{}");
        } else if (!existsSync(blob)) {
            response.writeHead(404).end();
        } else {
            const type = kind === "manifests" ? this.mediaType(blob) : "application/octet-stream";
            const size = statSync(blob).size;
            response.writeHead(200, {
                "Content-Type": type,
                "Content-Length": size,
                "Docker-Content-Digest": digest,
            });
            createReadStream(blob).pipe(response);
        }
    }

    private index(): { digest: string } {
        return JSON.parse(readFileSync(join(this.dir, "index.json"), "utf8")).manifests[0];
    }

    private mediaType(blob: string): string {
        return JSON.parse(readFileSync(blob, "utf8")).mediaType;
    }
}
