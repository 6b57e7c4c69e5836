import { join } from "node:path";
import { execa } from "execa";
import { describe, it } from "vitest";

/** What results.py tells of a test. */
interface Result {
    name: string;
    status: "passed" | "failed" | "skipped";
    message: string;
}

/** Runs the Python tests of this folder. */
async function pythonTests(): Promise<Result[]> {
    const args = ["-B", "-m", "tests.unit.verify.results", "tests/unit/workspace"];
    const { stdout } = await execa("python3", args, { cwd: join(__dirname, "../../..") });
    return JSON.parse(stdout.slice(stdout.lastIndexOf("\n")));
}

// What the images' rootfs has in Python, as far as it needs nothing but Python. Each test is reported as one here.
describe("in the workspace", async () => {
    for (const { name, status, message } of await pythonTests()) {
        it.skipIf(status === "skipped")(name.replace("tests.unit.workspace.", ""), () => {
            if (status === "failed") {
                throw new Error(message);
            }
        });
    }
});
