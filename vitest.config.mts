import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

// static and unit: no Docker Engine. The others: a real one. image is for slim images and full ones; acceptance and browser
// are for full ones, or take too long for `make test`; emulated wants the root image for the platform that this machine is
// not, too (scripts/root-image.sh); machines has engines as on machines of their own. Two files at a time where nothing else is
// in the way: on the host, Chromium drops its connections when a network or a container is made beside it.
const withDocker = (groupOrder: number, maxWorkers: number, ...globalSetup: string[]) => ({
    testTimeout: 600_000,
    hookTimeout: 1_800_000,
    maxWorkers,
    globalSetup: ["tests/setup/engine.ts", ...globalSetup],
    sequence: { groupOrder },
});
// On a busy machine runc at times fails to start a container ("waiting for init preliminary setup").
const retry = 1;
const clients = "tests/setup/clients.ts";

/** Long tests first, which wait more than they compute: short files fill what is left of the processors meanwhile. */
class LongFirst extends BaseSequencer {
    override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
        const isLong = ({ project, moduleId }: TestSpecification) =>
            ["static", "host"].includes(project.name) || /\/(restarts|packages)\.test\.ts$/.test(moduleId);
        const sorted = await super.sort(files);
        return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
    }
}

export default defineConfig({
    test: {
        reporters: ["verbose", "./tests/reporter.ts"],
        maxWorkers: Math.max(2, availableParallelism() - 1),
        sequence: { sequencer: LongFirst },
        projects: [
            { test: { name: "static", include: ["tests/static/**/*.test.ts"], testTimeout: 600_000 } },
            {
                test: {
                    name: "unit",
                    include: ["tests/unit/**/*.test.ts", "engine/tests/unit/**/*.test.ts"],
                    testTimeout: 60_000,
                    // Goldens of tables hold no colours, which a CI system would turn on.
                    env: { NO_COLOR: "1" },
                },
            },
            // Kernels on the machine itself, from PyPI. No Docker, but processes, a port and half a GB of disk.
            {
                test: {
                    name: "host",
                    include: ["tests/host/**/*.test.ts"],
                    testTimeout: 600_000,
                    hookTimeout: 600_000,
                },
            },
            { test: { name: "engine", include: ["engine/tests/docker/**/*.test.ts"], ...withDocker(2, 1) } },
            {
                test: {
                    name: "image",
                    include: ["tests/image/**/*.test.ts"],
                    ...withDocker(3, 2),
                    retry,
                },
            },
            { test: { name: "e2e", include: ["tests/e2e/**/*.test.ts"], ...withDocker(4, 2, clients) } },
            {
                test: {
                    name: "acceptance",
                    include: ["tests/acceptance/**/*.test.ts"],
                    ...withDocker(5, 2),
                    retry,
                },
            },
            {
                test: {
                    name: "browser",
                    include: ["tests/browser/**/*.test.ts"],
                    ...withDocker(6, 1, clients),
                    retry,
                },
            },
            {
                test: {
                    name: "emulated",
                    include: ["tests/emulated/**/*.test.ts"],
                    ...withDocker(7, 1, "tests/setup/emulation.ts"),
                    testTimeout: 1_800_000,
                },
            },
            {
                test: {
                    name: "machines",
                    include: ["tests/machines/**/*.test.ts"],
                    ...withDocker(8, 1, clients),
                    testTimeout: 1_800_000,
                },
            },
        ],
    },
});
