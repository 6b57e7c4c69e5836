import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";

/** A file of a repository of the hub. */
export interface HubFile {
    content: Buffer;
    /** What is sent in its place, under the hash of the content. */
    sent?: Buffer;
    /** Kept in git itself, as small files are: under git's hash, and without a redirect. */
    small?: boolean;
}

/** A repository of the hub. */
export interface HubRepository {
    files: Record<string, HubFile>;
    /** The token that opens it: `gated` says so to everybody, else it is as if it were not there. */
    token?: string;
    gated?: boolean;
}

/** A request that the hub got. */
export interface HubRequest {
    /** `store`: where the hub leads to for large files, another server. */
    server: "hub" | "store";
    method: string;
    /** Its path; the whole address where the hub is asked as a proxy. */
    url: string;
    authorization?: string;
    range?: string;
}

/** Where a hub is. */
export interface HubPlace {
    /** Name or address that clients have for this machine. */
    host?: string;
    /** What it listens on: the loopback, or all addresses where containers are to reach it. */
    address?: string;
    /** Key and certificate, where it speaks TLS. */
    tls?: { key: string; cert: string };
}

/** The commit of every repository. */
const commit = "0123456789abcdef0123456789abcdef01234567";

/**
 * Answers what huggingface_hub asks Hugging Face's hub: HEAD and GET of `/<repository>/resolve/<revision>/<file>` with a
 * redirect of large files to a store that knows ranges, and `/api/models/<repository>`.
 */
export class TestHub {
    readonly requests: HubRequest[] = [];
    /** Bytes that the store sends of an answer before it breaks the connection, for as many answers. */
    cuts: number[] = [];
    /** Bytes a second that the store sends; all at once where absent. */
    speed?: number;
    /** Answers every request with a page, as the login of a network does. */
    page = false;
    private readonly servers: Record<HubRequest["server"], Server>;

    private constructor(
        private readonly repositories: Record<string, HubRepository>,
        /** Name or address that clients have for this machine. */
        private readonly host: string,
        private readonly tls?: { key: string; cert: string },
    ) {
        const create = (answer: (request: IncomingMessage, response: ServerResponse) => void) =>
            tls ? createTlsServer(tls, answer) : createServer(answer);
        this.servers = {
            hub: create((request, response) => this.hub(request, response)),
            store: create((request, response) => void this.store(request, response)),
        };
    }

    static async start(
        repositories: Record<string, HubRepository>,
        { host = "127.0.0.1", address = "127.0.0.1", tls }: HubPlace = {},
    ): Promise<TestHub> {
        const hub = new TestHub(repositories, host, tls);
        for (const server of Object.values(hub.servers)) {
            await new Promise<void>((resolve) => server.listen(0, address, resolve));
        }
        return hub;
    }

    get endpoint(): string {
        return this.address("hub");
    }

    stop(): void {
        for (const server of Object.values(this.servers)) {
            server.closeAllConnections();
            server.close();
        }
    }

    private address(server: HubRequest["server"]): string {
        return `${this.tls ? "https" : "http"}://${this.host}:${(this.servers[server].address() as AddressInfo).port}`;
    }

    private note(server: HubRequest["server"], { method = "", url = "", headers }: IncomingMessage): void {
        const { authorization, range } = headers;
        this.requests.push({ server, method, url, authorization, range });
    }

    private hub(request: IncomingMessage, response: ServerResponse): void {
        this.note("hub", request);
        const path = decodeURIComponent((request.url ?? "").replace(/^http:\/\/[^/]+/, ""));
        if (this.page) {
            response
                .writeHead(200, { "Content-Type": "text/html" })
                .end("<!DOCTYPE html><p>Please log in</p>");
            return;
        }
        const [, api] = /^\/api\/models\/([^/]+\/[^/]+)(?:\/revision\/[^/]+)?$/.exec(path) ?? [];
        const [, name = api ?? "", revision = "main", file = ""] =
            /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(path) ?? [];
        const repository = this.repositories[name];
        const open = !repository?.token || request.headers.authorization === `Bearer ${repository.token}`;
        if (!repository || (!open && !repository.gated)) {
            refuse(response, 401, "RepoNotFound");
        } else if (!open) {
            refuse(response, request.headers.authorization ? 403 : 401, "GatedRepo");
        } else if (api) {
            this.describe(name, repository, response);
        } else if (revision !== "main" && revision !== commit) {
            refuse(response, 404, "RevisionNotFound");
        } else if (!repository.files[file]) {
            refuse(response, 404, "EntryNotFound");
        } else {
            this.resolve(`${name}/${file}`, repository.files[file], response);
        }
    }

    private describe(name: string, { files }: HubRepository, response: ServerResponse): void {
        const siblings = Object.keys(files).map((rfilename) => ({ rfilename }));
        response.writeHead(200, { "Content-Type": "application/json" });
        response.end(JSON.stringify({ id: name, modelId: name, sha: commit, tags: [], siblings }));
    }

    private resolve(place: string, file: HubFile, response: ServerResponse): void {
        const headers = { "X-Repo-Commit": commit, "Accept-Ranges": "bytes" };
        const { length } = file.content;
        if (file.small) {
            response.writeHead(200, {
                ...headers,
                ETag: `"${gitHash(file.content)}"`,
                "Content-Length": length,
            });
            response.end(file.content);
            return;
        }
        const linked = { "X-Linked-ETag": `"${sha256(file.content)}"`, "X-Linked-Size": length };
        const location = `${this.address("store")}/${encodeURI(place)}?signature=s3cret`;
        response.writeHead(302, { ...headers, ...linked, Location: location }).end();
    }

    private async store(request: IncomingMessage, response: ServerResponse): Promise<void> {
        this.note("store", request);
        const [, name = "", path = ""] =
            /^\/([^/]+\/[^/]+)\/([^?]+)/.exec(decodeURIComponent(request.url ?? "")) ?? [];
        const file = this.repositories[name]?.files[path];
        const content = file?.sent ?? file?.content ?? Buffer.alloc(0);
        const start = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
        const range = `bytes ${start}-${content.length - 1}/${content.length}`;
        response.writeHead(start > 0 ? 206 : 200, {
            "Content-Length": content.length - start,
            ...(start > 0 && { "Content-Range": range }),
        });
        const cut = this.cuts.shift();
        await this.send(response, content.subarray(start, cut === undefined ? undefined : start + cut));
        if (cut === undefined) {
            response.end();
        } else {
            response.destroy();
        }
    }

    private async send(response: ServerResponse, content: Buffer): Promise<void> {
        const step = this.speed ? Math.ceil(this.speed / 20) : content.length;
        for (let at = 0; at < content.length && !response.destroyed; at += step) {
            await new Promise((resolve) => response.write(content.subarray(at, at + step), resolve));
            if (this.speed) {
                await new Promise((resolve) => setTimeout(resolve, 50));
            }
        }
    }
}

function refuse(response: ServerResponse, status: number, code: string): void {
    response.writeHead(status, { "X-Error-Code": code, "X-Error-Message": code, "Content-Length": 0 }).end();
}

export function sha256(content: Buffer): string {
    return createHash("sha256").update(content).digest("hex");
}

function gitHash(content: Buffer): string {
    return createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
}

/** A file of this size that begins as models do, and goes on with what differs from place to place. */
export function gguf(size: number): Buffer {
    const content = Buffer.alloc(size);
    for (let at = 0; at + 4 <= size; at += 4) {
        content.writeUInt32LE(at, at);
    }
    content.write("GGUF");
    return content;
}
