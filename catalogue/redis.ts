import { serviceLimits } from "./limits";
import type { ServiceSpec } from "./types";

/** Redis with its append-only file, from the base image. */
export const redis: ServiceSpec = {
    name: "redis",
    title: "Redis",
    image: "base",
    toolset: "databases",
    command: ["redis"],
    ports: [
        {
            name: "redis",
            port: 6379,
            title: "Redis",
            url: "redis://{host}:{port}",
            tlsUrl: "rediss://{host}:{port}",
            secret: "redis",
        },
    ],
    volumes: [{ name: "redis", path: "/var/lib/redis" }],
    data: { format: "redis", version: 12 },
    keys: "tls",
    secrets: [{ name: "redis", key: "redis", length: 24, field: "password" }],
    connection: {
        variable: "REDIS_URL",
        python: 'redis.Redis.from_url(os.environ["REDIS_URL"], password=open("/run/carbon/user/redis").read())',
    },
    health: { interval: "30s", timeout: "10s", startPeriod: "10m0s", startInterval: "1s", retries: 3 },
    ...serviceLimits,
    memory: 512,
    stopTimeout: 15,
};
