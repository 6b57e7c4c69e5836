import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe } from "vitest";
import { programSource } from "../../../cli/models/helper";
import { canHaveHubClient, hubClient } from "../../hub-client";
import { describePulls } from "../../models";

const root = join(__dirname, "..", "..", "..");
const isRequired = process.env.CI === "true" || process.env.REQUIRE_DOCKER === "1";
const folder = mkdtempSync(join(tmpdir(), "carbon-models-"));

// In the compute image, tests/image/models.test.ts has the same.
describe.skipIf(!canHaveHubClient() && !isRequired)("models.py on this machine", () => {
    let python: string;

    beforeAll(async () => {
        python = await hubClient();
    }, 300_000);
    afterAll(() => rmSync(folder, { recursive: true }));

    describePulls("with the hub's client of the compute image", async () => ({
        command: [python, "-I", join(root, programSource)],
        folder,
        outside: join(folder, "elsewhere"),
        hub: { host: "127.0.0.1" },
        shell: async (line) => (await execa("sh", ["-c", line], { cwd: folder })).stdout,
    }));
});
