import { defineConfig } from "vitest/config";

// unit: no Docker Engine. The others: a real one; their files run one at a time, because they share it. acceptance is
// what takes too long for `make test`; emulated wants the root image for the platform that this machine is not, too
// (scripts/root-image.sh).
const withDocker = { testTimeout: 900_000, hookTimeout: 1_800_000, fileParallelism: false };

export default defineConfig({
    test: {
        projects: [
            {
                test: {
                    name: "unit",
                    include: ["tests/unit/**/*.test.ts", "engine/tests/unit/**/*.test.ts"],
                    testTimeout: 60_000,
                    // Goldens of tables hold no colours, which a CI system would turn on.
                    env: { NO_COLOR: "1" },
                },
            },
            { test: { name: "engine", include: ["engine/tests/docker/**/*.test.ts"], ...withDocker } },
            // On a busy machine runc at times fails to start a container ("waiting for init preliminary setup").
            { test: { name: "image", include: ["tests/image/**/*.test.ts"], ...withDocker, retry: 1 } },
            { test: { name: "acceptance", include: ["tests/acceptance/**/*.test.ts"], ...withDocker } },
            {
                test: {
                    name: "emulated",
                    include: ["tests/emulated/**/*.test.ts"],
                    ...withDocker,
                    testTimeout: 1_800_000,
                },
            },
            { test: { name: "e2e", include: ["tests/e2e/**/*.test.ts"], ...withDocker } },
        ],
    },
});
