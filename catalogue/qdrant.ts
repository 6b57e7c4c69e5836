import { plainRootLimits } from "./limits";
import type { ServiceSpec } from "./types";

/** Qdrant, a vector database, from its official image. */
export const qdrant: ServiceSpec = {
    name: "qdrant",
    title: "Qdrant",
    // Its digest is on no public record of the vendor's.
    image: { ref: "docker.io/qdrant/qdrant:v1.18.2" },
    ports: [
        {
            name: "qdrant",
            port: 6333,
            title: "Qdrant (REST; web page at /dashboard)",
            url: "http://{host}:{port}",
            secret: "qdrant",
        },
        {
            name: "qdrantGrpc",
            port: 6334,
            title: "Qdrant (gRPC)",
            speaks: "grpc",
            url: "http://{host}:{port}",
            secret: "qdrant",
        },
    ],
    volumes: [{ name: "qdrant", path: "/qdrant/storage" }],
    secrets: [
        {
            name: "qdrant",
            key: "qdrant",
            length: 24,
            field: "apiKey",
            // Qdrant reads this file last, after its own configuration (qdrant's src/settings.rs).
            file: {
                path: "/qdrant/config/local.yaml",
                // Without enable_cors, pages of other origins cannot read what it answers; its own page needs none.
                content: 'service:\n  api_key: "{secret}"\n  enable_cors: false\ntelemetry_disabled: true\n',
            },
        },
    ],
    connection: {
        variable: "QDRANT_URL",
        python: 'qdrant_client.QdrantClient(os.environ["QDRANT_URL"], api_key=open("/run/carbon/user/qdrant").read())',
    },
    health: {
        // The image has no HTTP client, but bash. /readyz needs no key.
        test: [
            "CMD",
            "bash",
            "-c",
            "exec 3<> /dev/tcp/127.0.0.1/6333 && printf 'GET /readyz HTTP/1.0\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && [[ $status == 200 ]]",
        ],
        interval: "30s",
        timeout: "10s",
        startPeriod: "10m0s",
        startInterval: "1s",
        retries: 3,
    },
    loopbackOnly: true,
    ...plainRootLimits,
    memory: 2048,
    stopTimeout: 30,
};
