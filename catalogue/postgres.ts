import { serviceLimits } from "./limits";
import type { ServiceSpec } from "./types";

/** PostgreSQL 17 with pgvector and PostGIS, from the base image: the same layers, no extra disk. */
export const postgres: ServiceSpec = {
    name: "postgres",
    title: "PostgreSQL",
    image: "base",
    toolset: "databases",
    command: ["postgres"],
    ports: [
        {
            name: "postgres",
            port: 5432,
            title: "PostgreSQL",
            url: "postgresql://carbon@{host}:{port}/carbon",
            tlsUrl: "postgresql://carbon@{host}:{port}/carbon?sslmode=require",
            secret: "postgres",
        },
    ],
    volumes: [{ name: "postgres", path: "/var/lib/postgresql/data" }],
    data: { format: "postgres", version: 17 },
    keys: "tls",
    secrets: [
        {
            name: "postgres",
            key: "postgres",
            length: 24,
            field: "password",
            login: { user: "carbon", database: "carbon" },
        },
    ],
    // For what `docker exec` starts without a shell; the service's hook in the image (`client`) says the rest.
    clientEnv: {
        PGHOST: { value: "postgres" },
        PGUSER: { value: "carbon" },
        PGDATABASE: { value: "carbon" },
    },
    connection: { variable: "DATABASE_URL", python: 'psycopg.connect(os.environ["DATABASE_URL"])' },
    health: { interval: "30s", timeout: "10s", startPeriod: "10m0s", startInterval: "1s", retries: 3 },
    ...serviceLimits,
    memory: 2048,
    stopTimeout: 30,
};
