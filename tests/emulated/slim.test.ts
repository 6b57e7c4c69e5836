import { arch } from "node:os";
import { afterAll, describe, expect, it } from "vitest";
import { hostPort, removeAll, secrets, ssh, startRole, untilHealthy } from "../image/base-container";
import { buildBase, readImageJson } from "../image/base-image";

/** The platform that this machine emulates: the one of the suite's two that is not its own. */
const platform = arch() === "arm64" ? "linux/amd64" : "linux/arm64";
const machine = arch() === "arm64" ? "x86_64" : "aarch64";

afterAll(removeAll);

describe(`the slim image for ${platform}`, () => {
    it("builds, becomes healthy, and takes a login over SSH", async () => {
        const tag = "docker.io/carbon/base:test-emulated";
        buildBase(tag, [], {}, platform);
        expect(readImageJson(tag)).toMatchObject({ platform });
        const container = await startRole({
            image: tag,
            role: "workspace",
            secrets: { ssh: secrets.ssh },
            ports: [2222],
        });
        await untilHealthy(container, 300);
        const port = await hostPort(container, 2222);
        expect(await ssh(port, "carbon", secrets.ssh, "uname --machine")).toBe(machine);
        await expect(ssh(port, "carbon", "wrong", "id")).rejects.toThrow("authentication methods failed");
    });
});
