import { execa } from "execa";
import { checkBuildx, checkDocker, checkImageStore } from "../../cli/preflight/engineChecks";

/**
 * Looks at the Docker Engine once, before the first test that needs it. In the end it removes the images of the tests'
 * stacks, which those of the same settings share.
 *
 * @throws Error with what it lacks and what to do, instead of hundreds of tests that fail of it.
 */
export default async function examineEngine(): Promise<(() => Promise<void>) | undefined> {
    // Set where the tests are only counted, on a machine without an engine: see tests/suite.ts.
    if (process.env.CARBON_TEST_LIST === "1") {
        return undefined;
    }
    const { finding, info } = await checkDocker();
    const findings = [finding, ...(info ? [checkImageStore(info), await checkBuildx()] : [])];
    const problems = findings.filter(({ status }) => status === "failure");
    if (problems.length > 0) {
        throw new Error(problems.map(({ detail, advice }) => `${detail}. ${advice}`).join("\n"));
    }
    const before = await suiteImages();
    return async () => {
        const images = (await suiteImages()).filter((image) => !before.includes(image));
        // One that a stack of the user's has come to need meanwhile stays.
        await Promise.all(images.map((image) => execa("docker", ["image", "rm", image], { reject: false })));
    };
}

async function suiteImages(): Promise<string[]> {
    const format = "{{.Repository}}:{{.Tag}}";
    const args = ["image", "ls", "--format", format, "--filter", "reference=localhost/carbon*/*"];
    return (await execa("docker", args)).stdout.split("\n").filter((image) => image !== "");
}
