import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { registryLogin } from "../../src/docker/registry-login";

let folder: string;
let env: NodeJS.ProcessEnv;
beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "engine-login-"));
    env = { DOCKER_CONFIG: folder, PATH: `${folder}:${process.env.PATH}` };
});
afterEach(() => rmSync(folder, { recursive: true }));

const image = "ghcr.io/me/carbon/base:1@sha256:0";
const configure = (configuration: unknown) =>
    writeFileSync(join(folder, "config.json"), JSON.stringify(configuration));
const encoded = (text: string) => Buffer.from(text).toString("base64");

/** A credential helper that knows ghcr.io alone, as the ones of Docker's answer. */
function helper(name: string, user: string): void {
    const file = join(folder, `docker-credential-${name}`);
    const found = JSON.stringify({ ServerURL: "ghcr.io", Username: user, Secret: "se:cret" });
    writeFileSync(
        file,
        `#!/bin/sh\n[ "$1 $(cat)" = "get ghcr.io" ] || { echo 'credentials not found'; exit 1; }\necho '${found}'\n`,
    );
    chmodSync(file, 0o755);
}

describe("the login for an image", () => {
    it("is the one of Docker's configuration file for its registry", async () => {
        configure({ auths: { "ghcr.io": { auth: encoded("ada:se:cret") }, "other.io": { auth: "x" } } });
        expect(await registryLogin(image, env)).toEqual({
            serveraddress: "ghcr.io",
            username: "ada",
            password: "se:cret",
        });
        configure({ auths: { "ghcr.io": { identitytoken: "token" } } });
        expect(await registryLogin(image, env)).toEqual({ serveraddress: "ghcr.io", identitytoken: "token" });
    });

    it("is the one of the credential helper that it names, the registry's own first", async () => {
        helper("all", "everybody");
        configure({ auths: { "ghcr.io": {} }, credsStore: "all" });
        const login = { serveraddress: "ghcr.io", username: "everybody", password: "se:cret" };
        expect(await registryLogin(image, env)).toEqual(login);
        helper("own", "ada");
        configure({ credsStore: "all", credHelpers: { "ghcr.io": "own" } });
        expect(await registryLogin(image, env)).toEqual({ ...login, username: "ada" });
        helper("own", "<token>");
        expect(await registryLogin(image, env)).toEqual({
            serveraddress: "ghcr.io",
            identitytoken: "se:cret",
        });
    });

    it.each([
        ["no configuration file", undefined, image],
        ["none for the registry", { auths: { "other.io": { auth: encoded("a:b") } } }, image],
        ["a helper that has none", { credsStore: "all" }, "other.io/image"],
        ["a helper that is not there", { credsStore: "missing" }, image],
        ["an image of no registry", { auths: { me: { auth: encoded("a:b") } } }, "me/image"],
        ["an image of this machine", { auths: {} }, "image"],
    ])("is none with %s", async (_what, configuration, of) => {
        helper("all", "ada");
        if (configuration) {
            configure(configuration);
        }
        expect(await registryLogin(of, env)).toBeUndefined();
    });

    it("is not guessed from a file that is damaged, or that names another program", async () => {
        writeFileSync(join(folder, "config.json"), "{");
        await expect(registryLogin(image, env)).rejects.toThrow(
            /Docker's configuration file .* cannot be read/,
        );
        configure({ credsStore: "../../bin/sh" });
        await expect(registryLogin(image, env)).rejects.toThrow(/"credsStore" is wrong/);
    });
});
