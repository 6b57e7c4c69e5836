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
    const { stdout } = await execa("python3", ["-m", "tests.unit.verify.results"], {
        cwd: join(__dirname, "../../.."),
    });
    return JSON.parse(stdout.slice(stdout.lastIndexOf("\n")));
}

// The tests of verify/ are Python, as it is. Each is reported as one here.
describe("verify", async () => {
    const results = await pythonTests();
    for (const { name, status, message } of results) {
        it.skipIf(status === "skipped")(name.replace("tests.unit.verify.", ""), () => {
            if (status === "failed") {
                throw new Error(message);
            }
        });
    }
});
