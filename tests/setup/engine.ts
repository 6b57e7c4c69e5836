import { execa } from "execa";
import { checkBuildx, checkDocker, checkImageStore } from "../../cli/preflight/engineChecks";
import { imagesOf } from "../registry";

/** Begins the names of stacks' images. */
const stackImages = "localhost/carbon";

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
    const before = await imagesOf(stackImages);
    return async () => {
        const images = (await imagesOf(stackImages)).filter((image) => !before.includes(image));
        // One that a stack of the user's has come to need meanwhile stays.
        await Promise.all(images.map((image) => execa("docker", ["image", "rm", image], { reject: false })));
    };
}
