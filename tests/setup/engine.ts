import { checkBuildx, checkDocker, checkImageStore } from "../../cli/preflight/engineChecks";

/**
 * Looks at the Docker Engine once, before the first test that needs it.
 *
 * @throws Error with what it lacks and what to do, instead of hundreds of tests that fail of it.
 */
export default async function examineEngine(): Promise<void> {
    // Set where the tests are only counted, on a machine without an engine: see tests/suite.ts.
    if (process.env.CARBON_TEST_LIST === "1") {
        return;
    }
    const { finding, info } = await checkDocker();
    const findings = [finding, ...(info ? [checkImageStore(info), await checkBuildx()] : [])];
    const problems = findings.filter(({ status }) => status === "failure");
    if (problems.length > 0) {
        throw new Error(problems.map(({ detail, advice }) => `${detail}. ${advice}`).join("\n"));
    }
}
