import { threadedLimits } from "./limits";
import type { ServiceSpec } from "./types";

const start = "/usr/local/bin/carbon-mongodb";

/**
 * MongoDB from its official image. The image sets a password when it makes a new volume, and never again;
 * the suite's own start script sets it at every start, as the password changes when a stack is made anew.
 */
export const mongodb: ServiceSpec = {
    name: "mongodb",
    title: "MongoDB",
    // linux/amd64 and linux/arm64: docker-library/repo-info, repos/mongo/remote/8.0-noble.md (August 2026).
    image: {
        ref: "docker.io/library/mongo:8.0.28-noble@sha256:346f9f37eb0f1b75600929979a8f62372e6c717e58a291736db09188acaad0fe",
    },
    command: [start],
    files: [{ path: start, source: "catalogue/mongodb/start", permissions: "0555" }],
    ports: [
        {
            name: "mongodb",
            port: 27017,
            title: "MongoDB",
            url: "mongodb://carbon@{host}:{port}/?authSource=admin",
            secret: "mongodb",
        },
    ],
    volumes: [{ name: "mongodb", path: "/data/db" }],
    secrets: [{ name: "mongodb", key: "mongodb", length: 24, field: "password", login: { user: "carbon" } }],
    connection: {
        variable: "MONGODB_URL",
        python: 'pymongo.MongoClient(os.environ["MONGODB_URL"], password=open("/run/carbon/user/mongodb").read())',
    },
    health: {
        // `hello` needs no login. While the password is set, only the start script is listened to.
        // HOME: as in the start script.
        test: [
            ...["CMD", "env", "HOME=/root", "mongosh", "--quiet", "--norc"],
            ...["--eval", "quit(db.hello().isWritablePrimary ? 0 : 1)"],
        ],
        interval: "30s",
        timeout: "30s",
        startPeriod: "10m0s",
        startInterval: "2s",
        retries: 3,
    },
    loopbackOnly: true,
    // Each connection has a thread. The start script runs mongosh in the data folder, which is the user mongodb's, and
    // stops the server of that user with which it sets the password.
    ...threadedLimits,
    capabilities: ["CHOWN", "DAC_OVERRIDE", "KILL", "SETGID", "SETUID"],
    memory: 2048,
    stopTimeout: 30,
};
